"""Score a dictionary on held-out rows: explained variance, L0, silent latents."""
