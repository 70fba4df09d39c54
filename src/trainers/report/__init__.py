"""Compare runs: what their folders say, in tables and on a page."""
