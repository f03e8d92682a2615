"""The resources of one pool child for its whole life: a warm engine, a trainer, views."""

from dataclasses import dataclass

from celery import Celery
from sqlalchemy import Engine as Database

from holdfast.settings import Settings
from workers.children.supervisor import RunnerEngine
from workers.children.training_child import TrainingChild
from workers.views import Views


@dataclass(frozen=True, slots=True)
class Worker:
    """The resources of a worker; `name` is what a lease is claimed under."""

    name: str
    settings: Settings
    database: Database
    broker: Celery
    engine: RunnerEngine
    training: TrainingChild
    views: Views

    def stop(self) -> None:
        """End whatever is computing, from any thread; what it had not said yet is lost."""
        self.engine.kill()
        self.training.kill()
