"""Examine a store, verify it, repair it, collect its garbage."""
