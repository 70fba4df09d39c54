"""Planes to chunks, shards, commits and a manifest, and windows back out."""
