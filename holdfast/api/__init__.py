"""The server as its clients see it: bodies, client and errors."""
