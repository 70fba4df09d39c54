"""Folders of other libraries: one file for each format, and a table of them."""
