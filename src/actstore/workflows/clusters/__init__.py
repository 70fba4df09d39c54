"""Run tasks on Dask workers: local processes, an existing scheduler, or Slurm jobs."""
