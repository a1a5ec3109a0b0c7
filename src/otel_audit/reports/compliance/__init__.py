"""Reports for a standard and a period: what its controls ask, and what the trail holds as evidence."""
