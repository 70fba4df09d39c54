"""Batch to code to reconstruction: one dictionary a file, one table (`table.py`)."""
