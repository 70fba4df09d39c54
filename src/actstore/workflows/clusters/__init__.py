"""Tasks on workers of Dask: of this machine, of a scheduler, of Slurm."""
