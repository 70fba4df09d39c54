"""What is done with rows before a dictionary sees them, and what is estimated from some of them."""
