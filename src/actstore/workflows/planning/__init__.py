"""Estimate a recipe before it runs: lengths and sizes in, FLOPs, bytes, hours and dollars out."""
