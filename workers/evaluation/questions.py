"""The questions of an evaluation, the digest of what they are taken from, and their judges.

All three follow from the evaluation's row, the settings and the catalogue, and are the same for
every side.
"""

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from holdfast.attacks.from_file import read_texts, texts_digest
from holdfast.db.tables import EvaluationRow
from holdfast.errors import InvalidTaskData
from holdfast.job import Tier
from holdfast.judges import JUDGES
from holdfast.judges.endpoint import endpoint_of
from holdfast.policy.model import GatePolicy
from holdfast.probes.items import suite_for
from holdfast.probes.question import Question
from holdfast.probes.spec import COHERENCE, MAX_TOKENS
from holdfast.probes.table import probe_of, spec_of
from holdfast.repairs.task_data import Row, digest_of, read_task_data, rows_digest
from holdfast.settings import Settings
from holdfast.suites import select
from workers.harness.child import plan_task

SEED = 0  # of the item selection; part of what makes runs comparable, so never a setting


def plan(probe: str, row: EvaluationRow, settings: Settings) -> tuple[tuple[Question, ...], str]:
    """The questions of one probe, and the digest of what they are taken from."""
    spec = spec_of(probe)
    if spec.task is None:
        questions = plan_questions(probe, row, settings)
        return questions, suite_digest(probe, row, settings)
    return plan_task(spec.task, spec.items.get(row.tier, 0), settings)


def plan_questions(probe: str, row: EvaluationRow, settings: Settings) -> tuple[Question, ...]:
    """The questions of one probe at this tier; none where the tier leaves the probe out."""
    spec, asks = spec_of(probe), probe_of(probe)
    tier = row.tier
    if tier not in spec.items:
        return ()
    items: Sequence[Any] = (
        task_rows(row, probe)[: spec.items[tier]]
        if spec.suite is None
        else select(suite_for(spec, settings.installed_suites), spec.items[tier], row.split, SEED)
    )
    max_tokens = MAX_TOKENS[tier]
    how: list[Any] = [max_tokens]
    if tier in spec.variants:
        how.append(spec.variants[tier])
    if asks.in_rows:
        how.append(task_rows(row, probe))
    questions, texts = asks.questions(items, *how), texts_for(probe, tier, settings)
    if asks.operator_questions is None or not texts:
        return questions
    return (*questions, *asks.operator_questions(items, max_tokens, texts))


def texts_for(probe: str, tier: Tier, settings: Settings) -> dict[str, str]:
    """The texts that the operator's own file adds to a probe, at the tier that asks everything."""
    setting = probe_of(probe).texts
    file: Path | None = getattr(settings, setting) if setting else None
    return read_texts(file) if file is not None and tier == "full" else {}


def task_rows(row: EvaluationRow, probe: str) -> list[Row]:
    """The rows of the submitted task data that a probe asks.

    The held-out rows; for what a model may have learnt by heart, those that it trained on.
    """
    if row.task_data is None:
        return []
    path = Path(row.task_data)
    if digest_of(path) != row.task_data_sha256:
        raise InvalidTaskData(f"{path} changed since it was submitted; submit it again")
    takes = probe_of(probe).takes
    return [row for row in read_task_data(path) if takes(row)]


def judge_digests(probes: Sequence[str]) -> dict[str, str]:
    """Every judge that these probes use of their own, by the digest of its source."""
    names = {judge for probe in probes for judge in spec_of(probe).judges}
    return {name: judge.sha256 for name, judge in JUDGES.items() if name in names}


def judges_of(policy: GatePolicy, probes: Sequence[str], settings: Settings) -> dict[str, str]:
    """Every judge by its identity: that which a check names, else the probe's own."""
    named = {probe: policy.checks[probe].judge for probe in probes}
    endpoints = sorted({judge for judge in named.values() if judge is not None})
    digests = judge_digests([probe for probe in probes if named[probe] is None])
    if any(spec_of(probe).reads_coherence for probe in probes):  # beside any judge of harm
        digests[COHERENCE] = JUDGES[COHERENCE].sha256
    return digests | {judge: endpoint_of(judge, settings, os.environ).sha256 for judge in endpoints}


def suite_digest(probe: str, row: EvaluationRow, settings: Settings) -> str:
    """64 hex of what is asked: the suite's, or that of the held-out rows.

    A probe that asks in forms of its own, of the operator's file or of the user's rows, has them
    in it too.
    """
    spec = spec_of(probe)
    if spec.suite is None:
        return rows_digest(task_rows(row, probe))
    digest, asks = suite_for(spec, settings.installed_suites).digest, probe_of(probe)
    if asks.in_rows:
        forms = [asks.form, rows_digest(task_rows(row, probe))]
    elif spec.variants:
        texts = texts_for(probe, row.tier, settings)
        forms = [asks.form, texts_digest(texts) if texts else ""]
    else:
        return digest
    return hashlib.sha256("\n".join([digest, *forms]).encode()).hexdigest()
