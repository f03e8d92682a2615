"""Removes what is older than the settings keep it: answers, events, trials, files, weights.

One job, or one page of rows, is one transaction: a run may be killed at any moment, and the next
goes on. What a verdict refers to is in the archive before it is removed, and nothing that
unfinished work needs is touched.
"""

from collections.abc import Callable
from datetime import timedelta

from sqlalchemy import Engine

from holdfast.db.jobs import now
from holdfast.db.session import reading
from holdfast.projects.retention.files import prune_repairs, prune_transcripts
from holdfast.projects.retention.job_files import remove_renamed
from holdfast.projects.retention.merged import prune_merged
from holdfast.projects.retention.removed import Pruned, Removed, Run
from holdfast.projects.retention.rows import prune_answers, prune_events, prune_trials
from holdfast.settings import Settings

REMOVERS: dict[str, Callable[[Run], Removed]] = {
    "answers": prune_answers,
    "events": prune_events,
    "trials": prune_trials,
    "transcripts": prune_transcripts,
    "repairs": prune_repairs,
    "merged": prune_merged,
}


def prune(database: Engine, settings: Settings, *, dry_run: bool = False) -> Pruned:
    """Remove everything that is older than its setting; a dry run only counts it."""
    with reading(database) as session:
        moment = now(session)
    problems: list[str] = []
    amounts: dict[str, Removed | None] = dict.fromkeys(REMOVERS)
    for kind, days in ages(settings).items():
        if days is not None:
            before = moment - timedelta(days=days)
            amounts[kind] = REMOVERS[kind](Run(database, settings.home, before, dry_run, problems))
    if not dry_run:
        problems.extend(remove_renamed(settings.home))
    return Pruned(amounts, tuple(problems))


def ages(settings: Settings) -> dict[str, float | None]:
    """For how many days each kind is kept; None: for ever."""
    return {kind: getattr(settings, f"keep_{kind}_days") for kind in REMOVERS}
