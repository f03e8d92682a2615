"""The Celery object, its settings, and the one message there is: "look for work".

A message carries no job. It makes a worker claim the best runnable row of its queue, so a
lost, late or doubled message does no harm, and message order does not matter: the row's priority
does. Messages are acknowledged early and no worker prefetches, because with late acknowledgement
Redis hands a task that runs longer than the visibility timeout to a second worker while it still
runs (celery #5935), and finds a dead worker's task again only after minutes.

The service sends by name and never imports the workers.
"""

import logging
from typing import Literal

from celery import Celery
from kombu.entity import Queue
from kombu.exceptions import OperationalError
from redis.exceptions import RedisError, ResponseError

from holdfast.errors import Unreachable
from holdfast.settings import Settings

log = logging.getLogger(__name__)

HINT = "holdfast.poke"  # the task's name on the wire, from when it was called that
QUEUES = ("control", "cpu", "gpu")


def celery_app(settings: Settings, *, socket_timeout: float = 5.0) -> Celery:
    """Celery as Holdfast uses it; a producer passes a short `socket_timeout`, in seconds."""
    app = Celery("holdfast", broker=settings.broker_url, backend=None)
    app.conf.update(
        task_acks_late=False,
        worker_disable_prefetch=True,
        worker_prefetch_multiplier=1,
        worker_pool="prefork",
        worker_pool_start_method="spawn",  # a forked child can neither use CUDA nor threads safely
        worker_concurrency=1,
        worker_proc_alive_timeout=30.0,
        worker_soft_shutdown_timeout=5.0,
        worker_cancel_long_running_tasks_on_connection_loss=False,
        task_ignore_result=True,
        task_store_errors_even_if_ignored=False,
        task_track_started=False,
        worker_send_task_events=False,
        task_serializer="json",
        accept_content=["json"],
        result_accept_content=["json"],
        task_time_limit=None,  # deadlines live in the row, and the supervisor enforces them
        task_soft_time_limit=None,
        task_create_missing_queues=False,
        task_default_queue="control",
        task_queues=[Queue(name) for name in QUEUES],
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_channel_error_retry=True,  # a Redis that cannot write to its disk is none to die of
        broker_connection_timeout=2,
        broker_transport_options={
            "visibility_timeout": 86400,
            "socket_timeout": socket_timeout,  # the default waits for ever on a silent network
            "socket_connect_timeout": min(socket_timeout, 2.0),
            "socket_keepalive": True,
            "health_check_interval": 10,
            "retry_on_timeout": False,
            "global_keyprefix": "holdfast:",
        },
        task_publish_retry=False,
        worker_hijack_root_logger=False,
        worker_enable_remote_control=True,
        timezone="UTC",
    )
    return app


def producer(settings: Settings) -> Celery:
    """A Celery object for those who only send: it gives up within about a second."""
    app = celery_app(settings, socket_timeout=1.0)
    app.conf.broker_transport_options["max_retries"] = 0  # else kombu sleeps and connects again
    return app


def send_hint(app: Celery, queue: str) -> None:
    """Tell a worker of a queue to look for work; Unreachable where no broker answers in time."""
    try:
        app.send_task(HINT, kwargs={"queue": queue}, queue=queue, retry=False)
    except (OperationalError, RedisError, OSError) as error:
        raise Unreachable(f"the broker did not take a hint: {error}") from error


def broker_state(app: Celery) -> Literal["up", "degraded", "down"]:
    """Whether the broker takes messages; degraded when it answers, but with a complaint.

    A Redis whose disk is full answers every write, and PING too, with an error.
    """
    try:
        with app.connection_for_write() as connection:
            connection.default_channel.client.ping()
    except (OperationalError, RedisError, OSError) as error:
        complains = isinstance(error, ResponseError) or isinstance(error.__cause__, ResponseError)
        return "degraded" if complains else "down"
    return "up"


def try_hint(app: Celery, queue: str) -> None:
    """Send a hint if the broker takes it: the row is queued, and the sweeper repeats lost hints."""
    try:
        send_hint(app, queue)
    except Unreachable as error:
        log.warning("queue=%s no hint sent, the sweeper will: %s", queue, error)
