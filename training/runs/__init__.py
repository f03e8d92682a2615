"""One run: the loop, its rows, what it watches and holds to, and how it goes on when killed."""
