"""Which residues become rows of which task, and their cost: pure functions, known before the first forward pass."""
