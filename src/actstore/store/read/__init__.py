"""From a place or a manifest file to windows of rows, with every byte checked."""
