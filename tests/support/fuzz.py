"""The API under generated requests with a key of one role, beside a project that it must not see.

Schemathesis generates them: for each operation on its own, good ones and bad ones, and as a state
machine, in which ids out of replies go into later requests. Ids of both projects are fed to it.
It holds every reply to the OpenAPI document; what it cannot know is added here, that no reply may
hold anything of the other project. The same seed on a fresh database sends the same requests.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias

import schemathesis
from fastapi import FastAPI
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.core.transport import Response
from schemathesis.engine import Status, events, from_schema
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import transaction
from holdfast.scopes import ROLES, Role
from service.artifacts import ARTIFACTS
from service.paging import encode
from tests.support.two_projects import ALIAS, CHECKS, POLICY, Seeded

Case: TypeAlias = "schemathesis.Case[Any]"

OFTEN, SOMETIMES = 0.8, 0.3  # how often a real value is sent in place of a generated one
CHAINS = 2  # of requests, for each example of an operation
REFUSALS = [400, 401, 403, 404, 405, 409, 412, 413, 415, 422]
RARELY_ANSWERED = [
    "GET /v1/evaluations/{evaluation_id}/items",
    "POST /v1/evaluations/{evaluation_id}:retry",
    "POST /v1/remediations/{remediation_id}:cancel",
    "POST /v1/waivers/{waiver_id}:revoke",
    "PUT /v1/projects/{project}",
    "PUT /v1/projects/{project}/baselines/{alias}",
]
UNLIMITED = {"reads_per_minute": 10**9, "writes_per_minute": 10**9, "max_jobs": 10**9}


@dataclass(frozen=True, slots=True)
class Fuzzed:
    """What a run came to: replies by operation and status, and what was wrong, once a kind.

    `telling` are the operations whose replies held a text of the key's own project: those by which
    a text of the other one could have come out.
    """

    role: Role
    seed: int
    replies: Counter[tuple[str, int]] = field(default_factory=Counter)
    telling: set[str] = field(default_factory=set)
    problems: dict[str, str] = field(default_factory=dict)

    @property
    def statuses(self) -> Counter[int]:
        """Replies by status."""
        counts: Counter[int] = Counter()
        for (_, status), count in self.replies.items():
            counts[status] += count
        return counts

    @property
    def answered(self) -> set[str]:
        """The operations that did what they were asked at least once."""
        return {operation for operation, status in self.replies if status < 400}


def holds_nothing_of(theirs: Seeded) -> CheckFunction:
    """A check that a reply holds no text of a project, and no name that the request did not say."""

    def foreign_content(_context: object, response: Response, _case: object) -> None:
        request = response.request
        sent = f"{request.url} {request.headers} {request.body!r}"
        reply = f"{response.headers} {response.content.decode(errors='replace')}"
        assert theirs.mark not in sent, "the mark was sent, so that its return would say nothing"
        foreign = [name for name in theirs.names if name in reply and name not in sent]
        assert theirs.mark not in reply, "the reply holds a text of another project"
        assert not foreign, f"the reply names {foreign[0]}, which is another project's"

    return foreign_content


def fuzz(
    app: FastAPI,
    projects: tuple[Seeded, Seeded],
    role: Role,
    *,
    seed: int,
    examples: int,
    paths: str = ".",
) -> Fuzzed:
    """Send generated requests with a new key of the first project: each operation's, then chained.

    `paths` is a regular expression of the paths that are sent to.
    """
    ours, theirs = projects
    with transaction(app.state.database) as session:
        pepper = read_pepper(app.state.settings)
        key = create_key(session, pepper, ours.name, name="fuzz", scopes=ROLES[role])
        key_id, headers = key.row.id, {"Authorization": f"Bearer {key.token}"}
    config = SchemathesisConfig.from_dict(
        {"seed": seed, "headers": headers, **options(ours, theirs, examples, paths)}
    )
    schema = schemathesis.openapi.from_asgi("/openapi.json", as_served(app), config=config)

    def spares_key(_context: object, case: Case) -> bool:
        """Whether it leaves the key alone that all of this is sent with."""
        return key_id not in (case.path_parameters or {}).values()

    schema.hook("filter_case")(spares_key)
    schemathesis.check(holds_nothing_of(theirs))
    fuzzed = Fuzzed(role, seed)
    for event in from_schema(schema).execute():
        note(fuzzed, ours, event)
    return fuzzed


def as_served(app: FastAPI) -> ASGIApp:
    """The application as a client has it, to whom an unforeseen error is a reply of 500."""

    async def call(scope: Scope, receive: Receive, send: Send) -> None:
        has_begun = False

        async def note_and_send(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await app(scope, receive, note_and_send)
        except Exception:  # starlette raises it once more behind its reply, for a server's log
            if not has_begun:
                raise

    return call


def options(ours: Seeded, theirs: Seeded, examples: int, paths: str) -> dict[str, Any]:
    """How schemathesis is set up, in the words of its configuration file."""
    words = {name: [*ours.ids[name], *theirs.ids[name]] for name in ours.ids}
    jobs = [*words["evaluation_id"], *words["remediation_id"]]
    often: dict[str, list[Any]] = {
        **{f"path.{name}": ids for name, ids in words.items()},
        "path.job_id": jobs,
        "path.project": [ours.name, ours.name, theirs.name],
        "path.alias": [ALIAS],
        "path.name": list(ARTIFACTS),
        "query.cursor": cursors(ours, theirs),
        "body.checkpoint": words["checkpoint_id"],
        "body.candidate": [*words["checkpoint_id"], *ours.folders],
        "body.baseline": [ALIAS],
        "body.policy": [*words["policy_id"], "demo"],
        "body.text": [POLICY.replace("MARK", "fuzzed")],
        "body.uri": list(ours.folders),
        "body.evaluation": words["evaluation_id"],
        "body.recipe": ["rehearsal", "wise_ft", "auto"],
        "body.check": CHECKS,
        "body.unwaivable[*]": CHECKS,
        "body.expires_at": [(datetime.now(UTC) + timedelta(days=9)).isoformat()],
        "body.roots[*]": list(ours.folders),
        "header.if-match": ["*", '"1"', '"2"', '"3"'],
    }
    sometimes: dict[str, list[Any]] = {
        "query.probe": ["harm.direct"],
        "query.limit": [1, 200],
        "query.side": ["candidate"],
        "header.idempotency-key": ["first", "second"],
        "body.parent": words["checkpoint_id"],
        "body.repairs": words["checkpoint_id"],
        "body.anchor": [ALIAS],
        "body.adapter": list(ours.folders),
        "body.task_data": list(ours.folders),
    }
    chosen: list[tuple[dict[str, list[Any]], float]] = [(often, OFTEN), (sometimes, SOMETIMES)]
    return {
        "dictionaries": {
            name: {"values": values} for table, _ in chosen for name, values in table.items()
        },
        "parameters": {
            name: {"dictionary": name, "probability": chance}
            for table, chance in chosen
            for name in table
        },
        "generation": {"max-examples": examples, "no-shrink": True, "database": "none"},
        "phases": {
            "examples": {"enabled": False},
            "coverage": {"enabled": False},
            "stateful": {"max-steps": 10, "generation": {"max-examples": CHAINS * examples}},
        },
        "operations": [
            {"exclude-path-regex": paths, "enabled": False},
            {  # where others would store the id as the name of an alias, and show it
                "include-name": "POST /v1/evaluations",
                "parameters": {
                    "body.baseline": {"dictionary": "body.checkpoint", "probability": OFTEN},
                    "body.anchor": {"dictionary": "body.checkpoint", "probability": SOMETIMES},
                },
            },
            {  # 404 until there is a verdict
                "include-path-regex": "/(verdicts?|checks|artifacts/.*)$",
                "checks": {"ensure_resource_availability": {"enabled": False}},
            },
            {  # much has to fit before they answer
                "include-name": RARELY_ANSWERED,
                "generation": {"max-examples": 3 * examples},
            },
        ],
        "checks": {
            "negative_data_rejection": {"expected-statuses": REFUSALS},
            "positive_data_acceptance": {"enabled": False},  # what a schema cannot say is refused
            "ignored_auth": {"enabled": False},  # tests/service/test_matrix.py
        },
        "continue-on-failure": True,
        "suppress-health-check": ["all"],
        "analysis": {"constants": {"enabled": False}},  # its own look for values to try, 4 s long
    }


def cursors(ours: Seeded, theirs: Seeded) -> list[str]:
    """Cursors as they come with pages, of every kind of list."""
    item = ("harm.direct", f"{ours.mark}-1", "plain")
    ids = [name for ids in (*ours.ids.values(), *theirs.ids.values()) for name in ids]
    return [encode(*item), encode(*item, "candidate"), *ids[:1], *ids[-1:]]


def note(fuzzed: Fuzzed, ours: Seeded, event: events.EngineEvent) -> None:
    """Count what an event tells of."""
    if isinstance(event, events.ScenarioFinished):
        for case_id, interaction in event.recorder.interactions.items():
            operation = event.recorder.cases[case_id].value.operation.label
            if interaction.response is not None:
                fuzzed.replies[operation, interaction.response.status_code] += 1
                if ours.mark in interaction.response.content.decode(errors="replace"):
                    fuzzed.telling.add(operation)
            for name, text in failures(event, case_id):
                fuzzed.problems.setdefault(f"{operation}: {name}", text)
    elif isinstance(event, events.NonFatalError):
        fuzzed.problems.setdefault(f"{event.label}: {event.info.title}", str(event.value))
    elif isinstance(event, events.FatalError):
        fuzzed.problems["schemathesis broke off"] = repr(event.exception)
    elif isinstance(event, events.Interrupted):
        fuzzed.problems["schemathesis was interrupted"] = str(event.phase)


def failures(event: events.ScenarioFinished, case_id: str) -> Iterator[tuple[str, str]]:
    """The checks that a reply did not meet, each with the request that shows it."""
    for check in event.recorder.checks.get(case_id, ()):
        if check.status is not Status.SUCCESS:
            info = check.failure_info
            text = f"{info.failure}\n{info.code_sample}" if info else "the check itself failed"
            yield check.name, text
