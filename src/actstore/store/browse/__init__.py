"""A store as a data set: proteins, rows and sites, read where somebody asks."""
