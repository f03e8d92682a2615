"""One checkpoint from two, tensor by tensor: no gradient, and never a whole model in memory.

`pairing` says whether two checkpoints are one model, `streaming` reads and writes them in pieces,
`averaging` and `changes` are what may be done with a piece, `ratios` searches what HMA is given.
"""
