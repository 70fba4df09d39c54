"""Further terms of the loss: one file each, each a share that does not depend on the scale of the rows."""
