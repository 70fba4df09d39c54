"""How a run is recorded: the machine, its load, the commit, and the spread of its rounds."""
