"""Parts of stores, and their copies."""
