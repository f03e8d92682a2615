"""Workers: claim a job, ask the models, save every trial as it comes, decide, repair.

`tasks` the thin Celery shell, `pipeline` the story of one evaluation, `repairs/` those of one
repair and of a ladder, `children/` the processes that hold engines and trainings, `engine` the seam
between what asks and what answers, `inference/` its three implementations. Only those import torch.
"""
