"""Manifest to window order, fetch, shuffle buffer and batches."""
