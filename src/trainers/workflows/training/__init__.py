"""A planned run begins, trains and is kept."""
