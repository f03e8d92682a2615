"""Tasks of lm-evaluation-harness on our engines: their prompts and metrics, our model calls.

A task may hold code of its own (`!function`), reads data sets and imports a good deal, so it lives
in a process of its own: `__main__` there, `child` on our side of the pipes, `tasks` the only module
of the project that imports lm_eval.
"""
