"""Which weights a dictionary has, and what it reads and writes."""
