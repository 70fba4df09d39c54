"""Batches with torch: gathered and decoded in memory or on a device, and the dataset for its loaders."""
