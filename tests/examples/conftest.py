"""Recipes of small stores."""

from tests.actstore.conftest import fake_model, recipe_of, store_of, synthetic_fasta

__all__ = ["fake_model", "recipe_of", "store_of", "synthetic_fasta"]
