"""Planes to chunks, shards, commits and a manifest; and windows from a store."""
