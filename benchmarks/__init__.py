"""One script for each claim; what contestants, limits and rows are shared lies in the folders below."""
