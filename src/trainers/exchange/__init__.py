"""Trained dictionaries in and out: loaded, used on raw rows, written for others."""
