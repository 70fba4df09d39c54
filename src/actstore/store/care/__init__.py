"""Objects beside their commits, and damaged ones put right."""
