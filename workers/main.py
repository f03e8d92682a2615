"""The Celery application: `celery -A workers.main worker -Q cpu`.

Celery brings the message, the process pool and the orderly shutdown, nothing else: what there is to
do stands in the database. No result backend, no beat, no autodiscovery.
"""

from celery.signals import setup_logging

from holdfast.queue import celery_app
from holdfast.settings import read_settings
from holdfast.stack.log_lines import log_to_stderr

settings = read_settings()
app = celery_app(settings)
app.conf.imports = ("workers.tasks",)


@setup_logging.connect
def set_up_logging(**_: object) -> None:
    """One line an event, on stderr, in our format; Celery's own set-up is not wanted."""
    log_to_stderr(force=True)
