"""Bytes at places: folders, buckets and URLs, and what may be shown of them. Knows no row and no plan."""
