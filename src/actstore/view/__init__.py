"""Manifest and statistics to tables; progress to the terminal."""
