"""The words that cross rooms: records, rows, tasks, planes, and the protocols to extend."""
