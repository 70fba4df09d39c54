"""The dictionaries: one file each, a shape and a code put together."""
