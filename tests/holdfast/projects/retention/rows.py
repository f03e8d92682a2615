"""Evaluations and repairs with everything that a run leaves of them, at an age in days."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, func, select

from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import (
    AnswerRow,
    BaselineMove,
    CheckpointRow,
    EventRow,
    JobRow,
    RemediationRow,
    TableRow,
)
from holdfast.db.trials import Saved, save_answers, save_trials
from holdfast.evidence.file import gather
from holdfast.ids import new_id
from holdfast.policy.text import parse_policy
from holdfast.projects.tables import EarlierVerdict
from holdfast.settings import Settings
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from tests.holdfast.db.rows import add_evaluation, add_remediation, ago, lease_of
from tests.support.evidence import manifest, trials

DAY = 86_400.0
POLICY = """\
version: 1
name: harm
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
SIDES = {
    "baseline": trials("harm.direct", [0.0] * 20),
    "candidate": trials("harm.direct", [1.0] * 20),
}


def add_weights(database: Engine, folder: Path, *, project: str = "p", **changes: Any) -> str:
    """A checkpoint that lies in a folder, which is made."""
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 100)
    row = CheckpointRow(
        id=new_id("ckpt"),
        project=project,
        name="n",
        path=str(folder.resolve()),
        digest=f"sha256:{folder.name}",
        template_sha256="0" * 64,
        files=[],
        **{"created_at": ago(0), **changes},
    )
    with transaction(database) as session:
        session.add(row)
    return row.id


def end(database: Engine, job_id: str, *, days: float, status: str = "succeeded") -> None:
    """End a job so many days ago; its events and its answers are as old."""
    moment = ago(days * DAY)
    with transaction(database) as session:
        job = session.get_one(JobRow, job_id)
        job.status, job.finished_at = status, moment
        for event in session.scalars(select(EventRow).where(EventRow.job_id == job_id)):
            event.created_at = moment


def judge(database: Engine, evaluation_id: str, *, earlier: int = 0) -> Verdict:
    """Store both sides' trials and answers, the manifests, and the verdict on them."""
    files = {name: gather(manifest(name), findings) for name, findings in SIDES.items()}
    verdict = decide(parse_policy(POLICY, source="p"), files["baseline"], files["candidate"])
    with transaction(database) as session:
        for side, findings in SIDES.items():
            saved = [Saved(trial, f"{side}-{trial.item}") for trial in findings]
            save_trials(session, lease_of(evaluation_id), evaluation_id, side, saved)
        row = get_evaluation(session, evaluation_id)
        row.manifests = {
            name: file.manifest.model_dump(mode="json", by_alias=True)
            for name, file in files.items()
        }
        row.verdict, row.verdict_document = verdict.verdict, verdict.to_json().decode()
        for number in range(1, earlier + 1):
            document = verdict.to_json().decode()
            session.add(
                EarlierVerdict(
                    evaluation_id=evaluation_id,
                    number=number,
                    document=document,
                    superseded_at=ago(0),
                )
            )
    return verdict


def add_judged(database: Engine, *, days: float, earlier: int = 0, **changes: Any) -> str:
    """An evaluation with its verdict, finished so many days ago."""
    evaluation_id = add_evaluation(database, **changes)
    judge(database, evaluation_id, earlier=earlier)
    end(database, evaluation_id, days=days)
    return evaluation_id


def add_answers(database: Engine, digest: str, keys: Iterable[str], *, days: float) -> None:
    with transaction(database) as session:
        save_answers(session, digest, [(key, {"text": "words"}) for key in keys])
        for row in session.scalars(select(AnswerRow).where(AnswerRow.key.in_([*keys]))):
            row.created_at = ago(days * DAY)


def add_repair(
    database: Engine, settings: Settings, evaluation_id: str, *, days: float, **changes: Any
) -> str:
    """A repair that made a checkpoint, with its workspace, its log and its weights."""
    repair = add_remediation(database, evaluation_id, **changes)
    with reading(database) as session:
        project = session.get_one(JobRow, repair).project
    made = add_weights(database, settings.repairs / repair, project=project)
    with transaction(database) as session:
        session.get_one(RemediationRow, repair).checkpoint_id = made
    end(database, repair, days=days)
    for name in (f"work/{repair}/rehearsal.jsonl", f"log/{repair}.training.log"):
        (settings.home / name).parent.mkdir(parents=True, exist_ok=True)
        (settings.home / name).write_text("words")
    return repair


def checkpoint_of(database: Engine, repair: str) -> str:
    with reading(database) as session:
        made = session.get_one(RemediationRow, repair).checkpoint_id
    assert made is not None
    return made


def point(database: Engine, alias: str, checkpoint: str, *, version: int = 1) -> None:
    """Move an alias of the project `p`."""
    move = {"project": "p", "alias": alias, "actor": "ann", "created_at": ago(0)}
    with transaction(database) as session:
        session.add(BaselineMove(checkpoint_id=checkpoint, version=version, **move))


def count(database: Engine, table: type[TableRow], *where: Any) -> int:
    with reading(database) as session:
        return session.scalar(select(func.count()).select_from(table).where(*where)) or 0
