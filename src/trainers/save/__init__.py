"""Runs on disk: checkpoints that resume exactly, metrics as JSON lines."""
