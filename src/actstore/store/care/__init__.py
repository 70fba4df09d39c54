"""Compare objects with their commits, and restore damaged ones."""
