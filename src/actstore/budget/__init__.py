"""Numbers -> FLOPs, hours, dollars and break-even: arithmetic without files, models or stores."""
