"""Results as the tables of README and docs."""
