"""What is measured on: natural and synthetic proteins and rows, and the stores that hold them."""
