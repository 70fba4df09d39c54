"""Parts of a sweep: its file, its passes, its folder."""
