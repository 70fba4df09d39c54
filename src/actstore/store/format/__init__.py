"""What is on disk: names, shapes, byte ranges, documents and the limits of each."""
