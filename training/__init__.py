"""Makes checkpoints from checkpoints: `python -m training plan.json` runs one recipe and ends.

A plan is a file, the run is a process: device memory goes with it, and anybody can repeat a repair
by hand. Nothing here knows of evaluations, rows or queues.

    __main__ → recipes → loop → model │ batches │ objectives/ │ schedule
                       → merging/ → shards
                       → output
"""
