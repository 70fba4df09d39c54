"""Files in, sequences out: reading, cleaning, windows, splits, tokens and batches."""
