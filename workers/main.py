"""The Celery application: `celery -A workers.main worker -Q cpu`.

Celery brings the message, the process pool and the orderly shutdown, nothing else: what there is to
do stands in the database. No result backend, no beat, no autodiscovery.
"""

import logging

from celery.signals import setup_logging

from holdfast.queue import celery_app
from holdfast.settings import read_settings

settings = read_settings()
app = celery_app(settings)
app.conf.imports = ("workers.tasks",)


@setup_logging.connect
def log_to_stderr(**_: object) -> None:
    """One line an event, on stderr, in our format; Celery's own set-up is not wanted."""
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
