"""Workers: claim a job, ask the models, save every trial as it comes, decide, repair.

`tasks` the thin Celery shell, `pipeline` the story of one evaluation, `remedy` that of one repair,
`supervisor` the process tree that holds the engine, `runner` the child in it, `engine` the seam
between them and `inference/` its three implementations. Nothing outside `inference/` imports torch.
"""
