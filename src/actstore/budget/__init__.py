"""Numbers -> FLOPs, hours, dollars and break-even: arithmetic that knows nothing of files, models or stores."""
