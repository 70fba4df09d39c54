"""Stores of the usual kind, in which somebody then has a hand."""

from tests.actstore.conftest import fake_model, own_store, recipe_of, store_of, synthetic_fasta

__all__ = ["fake_model", "own_store", "recipe_of", "store_of", "synthetic_fasta"]
