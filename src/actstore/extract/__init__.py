"""Tokens -> activations: a pinned model, its named sites, and the rows of a task."""
