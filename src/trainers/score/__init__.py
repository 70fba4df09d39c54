"""How good a dictionary is: explained variance, L0, dead latents, on held-out rows."""
