"""A folder as a checkpoint: the files that count, their digest, and what is wrong with them."""
