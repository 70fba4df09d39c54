"""Files with activations that others made -> sequences and their rows."""
