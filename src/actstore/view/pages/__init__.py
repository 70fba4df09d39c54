"""Self-contained HTML pages: a plan, and a store."""
