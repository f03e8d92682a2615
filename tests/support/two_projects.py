"""Two projects with rows in every table, and a mark in every text of the one that nobody may see.

The mark is in no request that a test of the API sends, so that a reply which holds it says what is
stored. Ids and the project's name may be sent, and then be named in the refusal.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from fastapi import FastAPI
from fastapi.testclient import TestClient
from sqlalchemy import Engine, select

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation, get_job, get_remediation
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import reading, transaction
from holdfast.db.tables import TableRow
from holdfast.db.trials import Saved, save_answers, save_trials
from holdfast.evidence.file import gather
from holdfast.evidence.trial import Trial
from holdfast.job import EventKind, Status
from holdfast.policy.text import parse_policy
from holdfast.scopes import SCOPES
from holdfast.verdict.decide import decide
from tests.support.evidence import manifest, trials
from tests.support.folders import write_checkpoint

POLICY = """\
version: 1
name: MARK
min_items: 20
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
  refusal.benign: {metric: false_refusal_rate, max_regression: 0.10}
remediation: {on_fail: never, recipes: [rehearsal]}
"""
ALIAS = "production"  # the same in every project, so that it can be asked for by name
CHECKS = ["harm.direct", "refusal.benign"]  # those of the policy
BASELINE = [0.0] * 60
CANDIDATE = [1.0] * 30 + [0.0] * 29 + [None]


@dataclass(frozen=True, slots=True)
class Seeded:
    """A project with rows: what its texts hold, and its ids by the parameter that names them."""

    name: str
    mark: str
    folders: tuple[str, ...]
    ids: dict[str, tuple[str, ...]]

    @property
    def ended(self) -> tuple[str, ...]:
        """Its jobs that nothing can take up again, so that their event streams end."""
        return (self.ids["evaluation_id"][0], self.ids["remediation_id"][0])

    @property
    def names(self) -> tuple[str, ...]:
        """What a request may say of the project, and a reply only then."""
        return (self.name, *(name for ids in self.ids.values() for name in ids))


@dataclass(frozen=True, slots=True)
class Seeding:
    """A project while it is filled: the application, a client with all scopes, the mark."""

    app: FastAPI
    client: TestClient
    name: str
    mark: str

    def send(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        """What a request that must be accepted was answered, with an Idempotency-Key of its own."""
        headers = {"Idempotency-Key": f"{self.mark}-{uuid4().hex}"}
        reply = self.client.request(method, path, json=body, headers=headers)
        assert reply.is_success, (method, path, reply.text)
        answer: dict[str, Any] = reply.json()
        return answer


def seed_project(app: FastAPI, name: str) -> Seeded:
    """Fill a project, over the API where that can, and as a worker does for the rest."""
    mark = f"mark{uuid4().hex}"
    with transaction(app.state.database) as session:
        pepper = read_pepper(app.state.settings)
        key = create_key(session, pepper, name, name=f"{mark} key", scopes=SCOPES)
        key.row.principal = f"{mark} ann"
        headers = {"Authorization": f"Bearer {key.token}"}
    project = Seeding(app, TestClient(app, headers=headers), name, mark)
    checkpoints, folders = _register(project)
    policy = project.send("POST", "/v1/policies", {"text": POLICY.replace("MARK", mark)})["id"]
    sides = {"candidate": checkpoints[1], "baseline": checkpoints[0], "policy": policy}
    judged = project.send("POST", "/v1/evaluations", {**sides, "tier": "demo"})["id"]
    _finish(project, judged)
    repair = {"evaluation": judged, "recipe": "rehearsal"}
    repairs = [project.send("POST", "/v1/remediations", repair)["id"] for _ in range(2)]
    _end_repair(project, *repairs)
    waiting, cancelled = [
        project.send("POST", "/v1/evaluations", {**sides, "priority": -100})["id"] for _ in range(2)
    ]
    project.send("POST", f"/v1/evaluations/{cancelled}:cancel")
    return Seeded(
        name=name,
        mark=mark,
        folders=folders,
        ids={
            "checkpoint_id": checkpoints,
            "policy_id": (policy,),
            "evaluation_id": (judged, waiting, cancelled),
            "remediation_id": tuple(repairs),
            "waiver_id": _rules(project, checkpoints),
            "key_id": (key.row.id, *_keys(project)),
        },
    )


def _register(project: Seeding) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Two checkpoints, the first also in a second folder, and an alias on it."""
    root = project.app.state.settings.checkpoint_roots[0] / project.mark
    value = float(int(project.mark[-4:], 16))  # so that no other project has this content
    places = {"base": value, "tuned": value + 0.5, "again": value}
    folders = [
        str(write_checkpoint(root / f"{project.mark}-{name}", value=weight))
        for name, weight in places.items()
    ]
    ids = [project.send("POST", "/v1/checkpoints", {"uri": uri})["id"] for uri in folders]
    project.send("PUT", f"/v1/projects/{project.name}/baselines/{ALIAS}", {"checkpoint": ids[0]})
    return (ids[0], ids[1]), tuple(folders)


def _marked(mark: str, plain: Iterable[Trial]) -> list[Trial]:
    return [
        replace(
            trial,
            item=f"{mark}-{number}",
            cluster=f"{mark}-{number}",
            group=mark,
            reason=trial.reason and f"{mark} {trial.reason}",
        )
        for number, trial in enumerate(plain)
    ]


def _finish(project: Seeding, evaluation_id: str) -> None:
    """Do what a worker does: answers, trials, manifests, a failing verdict, the end."""
    mark = project.mark
    sides = {
        side: [trial for probe in CHECKS for trial in _marked(mark, trials(probe, badness))]
        for side, badness in (("baseline", BASELINE), ("candidate", CANDIDATE))
    }
    evidence = {side: gather(manifest(f"{mark}-{side}"), marked) for side, marked in sides.items()}
    policy = parse_policy(POLICY.replace("MARK", mark), source="policy")
    verdict = decide(policy, evidence["baseline"], evidence["candidate"])
    with transaction(project.app.state.database) as session:
        lease = jobs.claim(session, queue=project.app.state.settings.queue, owner=f"{mark} worker")
        assert lease is not None
        assert lease.job_id == evaluation_id
        for side, marked in sides.items():
            saved = [Saved(trial, f"{side}-{trial.item}") for trial in marked]
            answers = {trial.answer_key: {"text": f"{mark} words"} for trial in saved}
            save_answers(session, f"sha256:{mark}", list(answers.items()))
            save_trials(session, lease, evaluation_id, side, saved)
        row = get_evaluation(session, evaluation_id)
        row.manifests = {
            side: file.manifest.model_dump(mode="json", by_alias=True)
            for side, file in evidence.items()
        }
        row.verdict, row.verdict_document = verdict.verdict, verdict.to_json().decode()
        jobs.add_event(session, evaluation_id, EventKind.PROGRESS, {"doing": mark})
        jobs.finish(session, lease, Status.SUCCEEDED)
    assert verdict.verdict == "fail"


def _end_repair(project: Seeding, repair_id: str, later_id: str) -> None:
    """A repair that failed, with its plan, its progress and why, and another that waits."""
    with transaction(project.app.state.database) as session:
        get_job(session, later_id).priority = -100
        session.flush()
        lease = jobs.claim(session, queue=project.app.state.settings.queue, owner="worker")
        assert lease is not None
        assert lease.job_id == repair_id
        row = get_remediation(session, repair_id)
        row.plan, row.progress = {"note": project.mark}, {"at": project.mark}
        jobs.add_event(session, repair_id, EventKind.PROGRESS, {"doing": project.mark})
        jobs.finish(session, lease, Status.FAILED)
        get_job(session, repair_id).error = f"{project.mark} went wrong"


def _rules(project: Seeding, checkpoints: tuple[str, ...]) -> tuple[str, ...]:
    """Rules, a waiver that decided a verdict anew, and a revoked one."""
    roots = [str(project.app.state.settings.checkpoint_roots[0] / project.mark)]
    project.send("PUT", f"/v1/projects/{project.name}", {"roots": roots, "waiver_days": 60})
    until = (datetime.now(UTC) + timedelta(days=20)).isoformat()
    wanted = {"checkpoint": checkpoints[1], "expires_at": until, "reason": f"{project.mark} why"}
    made = [
        project.send("POST", "/v1/waivers", {**wanted, "check": check})["id"] for check in CHECKS
    ]
    project.send("POST", f"/v1/waivers/{made[1]}:revoke")
    return tuple(made)


def _keys(project: Seeding) -> tuple[str, ...]:
    """A key that was made over the API, and one that was revoked."""
    wanted = {"name": f"{project.mark} reader", "roles": ["read"], "principal": project.mark}
    made = [project.send("POST", "/v1/keys", wanted)["id"] for _ in range(2)]
    project.send("POST", f"/v1/keys/{made[1]}:revoke")
    return tuple(made)


def rows_of(database: Engine, project: Seeded) -> dict[str, list[str]]:
    """Every stored row that holds the project's mark or one of its names, by table."""
    with reading(database) as session:
        return {
            table.name: sorted(
                text
                for text in map(str, session.execute(select(table)).mappings())
                if any(word in text for word in (project.mark, *project.names))
            )
            for table in TableRow.metadata.sorted_tables
        }
