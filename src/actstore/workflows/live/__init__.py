"""Streams of rows that the model computes as they are asked for."""
