"""From the application's threads to the receiver: masked, kept on disk, sent until acknowledged."""
