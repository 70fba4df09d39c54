"""Streams of rows that the model computes on demand."""
