"""Who is measured: ways to read, extract, encode and train, ours and those of others, and the processes they run in."""
