"""A place or a manifest file to windows of rows, every byte checked."""
