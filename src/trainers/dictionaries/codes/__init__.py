"""How pre-activations become a code."""
