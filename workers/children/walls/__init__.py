"""Walls around the processes that load what users hand in: the runner, and what trains.

`places` says what such a child needs, `raising` raises the walls between fork and exec and tries
each one, over `landlock` (files) and `kernel` (network, privileges). Nobody behind them can follow
a link to a descriptor of the worker, so `keeper` holds descriptors inside, and `showing` gives
them to it. `python -m workers.children.walls` tries all of it, for `holdfast doctor`.
"""
