"""Which residues become rows of which task, and what that takes: pure, known before the first forward pass."""
