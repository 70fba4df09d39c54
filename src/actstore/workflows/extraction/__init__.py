"""Recipe to complete store: resolve, freeze, do the tasks, write the manifest."""
