"""The embedded stack: its processes, its Redis, the file by which it is found, its sweeper."""
