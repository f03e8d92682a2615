"""The processes that a worker starts, and ends with everything that they started themselves.

`supervisor` keeps the engine's tree warm, `runner` is the child in it, `training_child` one run of
`python -m training`. `guarded` starts both: the `guard` leads the session of each, and `sessions`
keeps it on record.
"""
