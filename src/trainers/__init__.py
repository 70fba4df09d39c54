"""Sparse autoencoders and crosscoders, trained from a store."""
