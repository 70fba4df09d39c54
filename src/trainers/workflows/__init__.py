"""Workflows: config to stream to fit to save to score."""
