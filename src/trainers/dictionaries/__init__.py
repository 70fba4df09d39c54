"""Batch to code to reconstruction: one file for each dictionary, one table (`table.py`)."""
