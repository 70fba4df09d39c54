"""Publish a store: which files it has, and how they get to the Hugging Face Hub."""
