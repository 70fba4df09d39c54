"""Types shared by several rooms: records, rows, tasks, planes, and the protocols to extend."""
