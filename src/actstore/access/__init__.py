"""Bytes in folders, buckets and at URLs, and text that is safe to show. Knows no rows and no plans."""
