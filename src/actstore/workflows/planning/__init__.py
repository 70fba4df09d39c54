"""What a recipe comes to before anything is paid: lengths and sizes in, FLOPs, bytes, hours and dollars out."""
