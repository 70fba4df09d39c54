"""What the machine allows: the same bytes, rows or passes with nothing else done to them."""
