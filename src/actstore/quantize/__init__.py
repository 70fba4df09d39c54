"""Activations to encoded planes and back."""
