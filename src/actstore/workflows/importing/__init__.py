"""Files of others -> a store: what a user named, opened and resolved."""
