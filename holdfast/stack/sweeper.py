"""The sweeper: frees the leases of lost workers and repeats hints that got lost.

It decides nothing about jobs: every statement is conditional, so two sweepers do no harm and none
for an hour only delays. The database may be away when it starts and at any time after; it says so
once a round and goes on. A verdict that stands on a waiver that is over it decides anew. Once a day
it also prunes, where the settings say for how long content is kept.
"""

import logging
import math
import threading
import time
from dataclasses import dataclass

from celery import Celery
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from holdfast.db.migrate import require_head
from holdfast.db.session import open_database, transaction
from holdfast.db.sweep import sweep_jobs
from holdfast.errors import HoldfastError, Unreachable
from holdfast.projects.decided_anew import decide_lapsed
from holdfast.projects.next_repair import go_on
from holdfast.projects.prune import ages, prune
from holdfast.queue import producer, send_hint
from holdfast.settings import Settings

log = logging.getLogger(__name__)

PRUNE_SECONDS = 24 * 3600.0  # from one pruning to the next; the first comes at the start


@dataclass(frozen=True, slots=True)
class Round:
    """The outcome of one round: rows freed, rows ended, hints that the broker took."""

    requeued: int
    ended: int
    hints: int


def sweep_once(database: Engine, broker: Celery, *, resend_after: float) -> Round:
    """Free lost leases and send lost hints once; OperationalError or Unreachable in an outage."""
    with transaction(database) as session:
        swept = sweep_jobs(session, resend_after=resend_after)
        for job_id in swept.ended:
            _go_on(session, job_id)
    if swept.requeued or swept.ended:
        log.info("requeued=%d ended=%d", swept.requeued, len(swept.ended))
    for queue in swept.hints:
        send_hint(broker, queue)
    return Round(swept.requeued, len(swept.ended), len(swept.hints))


def _go_on(session: Session, job_id: str) -> None:
    """Queue what follows an ended job; one that nothing can follow must not keep all others."""
    try:
        with session.begin_nested():
            go_on(session, job_id)
    except HoldfastError as error:
        log.warning("job=%s ended, and nothing follows: %s", job_id, error)


def prune_once(database: Engine, settings: Settings) -> None:
    """Remove what is older than it is kept; each problem is a warning."""
    pruned = prune(database, settings)
    amounts = {kind: amount for kind, amount in pruned.amounts.items() if amount is not None}
    log.info("pruned %s", ", ".join(f"{kind}={size.bytes} B" for kind, size in amounts.items()))
    for problem in pruned.problems:
        log.warning("not pruned: %s", problem)


def sweep(settings: Settings, ended: threading.Event) -> None:
    """Sweep every `sweep_seconds` until `ended` is set; outages are logged and outlived.

    Raises InvalidSettings when the database answers but is not at this code's revision.
    """
    database = open_database(settings.database_url)
    broker = producer(settings)
    checked, every = False, settings.sweep_seconds
    prune_due = time.monotonic() if any(ages(settings).values()) else math.inf
    while not ended.is_set():
        try:
            if not checked:
                require_head(database)
                checked = True
            sweep_once(database, broker, resend_after=settings.resend_hint_seconds)
            for evaluation in decide_lapsed(database):
                log.info("decided %s anew: a waiver of it is over", evaluation)
            if time.monotonic() >= prune_due:
                prune_once(database, settings)
                prune_due = time.monotonic() + PRUNE_SECONDS
        except (OperationalError, Unreachable) as error:
            log.warning("sweep skipped, next in %.0f s: %s", every, str(error).splitlines()[0])
        ended.wait(every)
    database.dispose()
    broker.close()
