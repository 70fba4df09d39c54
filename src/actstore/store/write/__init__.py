"""Planes to objects, commits and the frozen recipe of a store."""
