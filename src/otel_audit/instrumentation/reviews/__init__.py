"""What people decide, and how long it took them."""
