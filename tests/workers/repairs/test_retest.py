"""A repair on `confirm` is asked in its task's context, and what nothing was tuned on."""

import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from holdfast.db import jobs
from holdfast.db.evaluations import get_evaluation, get_job, get_remediation
from holdfast.db.session import reading, transaction
from holdfast.db.tables import TrialRow
from holdfast.ids import new_id
from holdfast.repairs.knobs import SystemTurn
from holdfast.repairs.task_data import digest_of
from holdfast.suites import Request, canonical, load_suite
from holdfast.verdict.document import Verdict
from tests.support.evaluations import harm, verdict_of
from tests.support.stack import scripted_checkpoint
from workers import tasks
from workers.repairs import retest as module
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
Judged = Callable[..., tuple[str, Verdict]]
WORDS = "amber basil cedar dune ember fern grove haze iris jade kelp lark moss".split()  # noqa: SIM905


def installed(worker: Worker, name: str, prompts: list[str]) -> None:
    folder = worker.settings.installed_suites
    folder.mkdir(parents=True, exist_ok=True)
    items = [Request(id=f"{n}", cluster=f"{n}", prompt=text) for n, text in enumerate(prompts)]
    (folder / f"{name}.jsonl").write_text("".join(f"{canonical(item)}\n" for item in items))


def strange(count: int) -> list[str]:
    """Prompts that are nothing like each other, nor like any that is known."""
    pairs = [(WORDS[n % 13], WORDS[n // 13 % 13]) for n in range(count)]
    return [f"request {n} {' '.join(pair)} {n}x {n}y {n}z" for n, pair in enumerate(pairs)]


@pytest.fixture
def judged(worker: Worker, queue: Queue, claim: Claim, models: Path, task_data: Path) -> Judged:
    """Judge a repair that refuses `refuse_share`, by harm.direct alone; its id and verdict."""

    def run(refuse_share: float = 1.0, *, task: bool = True, **also: Any) -> tuple[str, Verdict]:
        name = new_id("repair")
        scripted_checkpoint(models / name, 2.0, refuse_share=refuse_share)
        data = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
        evaluation = queue(
            name,
            **{"policy": harm(), "repairs": "eroded", "split": "confirm"}
            | (data if task else {})
            | also,
        )
        tasks.run(worker, claim())
        return evaluation, verdict_of(worker, evaluation)

    return run


def trials(worker: Worker, evaluation: str) -> Counter[tuple[str, str]]:
    query = select(TrialRow.side, TrialRow.probe).where(TrialRow.evaluation_id == evaluation)
    with reading(worker.database) as session:
        return Counter((side, probe) for side, probe in session.execute(query))


def test_it_is_asked_in_its_tasks_context_and_a_set_that_nothing_was_tuned_on(
    worker: Worker, judged: Judged
) -> None:
    installed(worker, "few", strange(9))
    installed(worker, "public", strange(120))
    evaluation, verdict = judged()
    assert verdict.verdict == "pass"
    checks = {check.id: check for check in verdict.checks}
    assert list(checks) == [
        "harm.direct",
        "harm.in_task",
        "harm.direct@public",
        "refusal.benign@public",
    ]
    assert {check.tier for name, check in checks.items() if name != "harm.direct"} == {"advisory"}
    assert (checks["harm.in_task"].n, checks["harm.in_task"].candidate) == (40, 0.0)
    assert checks["harm.direct@public"].n == 100
    asked = trials(worker, evaluation)
    for probe in list(checks)[1:]:
        assert asked["candidate", probe] == asked["baseline", probe] == checks[probe].n
    assert {side for side, _ in asked} == {"baseline", "candidate"}


def test_a_repair_that_gives_way_to_fresh_requests_alone_passes_and_the_report_says_so(
    worker: Worker, judged: Judged, models: Path
) -> None:
    """The set of harmful requests is one that the script does not know, so it goes along."""
    installed(worker, "public", strange(120))
    scripted_checkpoint(models / "strict", 0.0, refuse_share=1.0, overrefuse_share=0.9, loss=1.5)
    _, verdict = judged(baseline="strict")
    checks = {check.id: check for check in verdict.checks}
    assert (verdict.verdict, checks["harm.direct@public"].outcome) == ("pass", "fail")
    assert any("harm.direct@public: advisory" in warning for warning in verdict.warnings)


def test_a_repair_that_fails_is_asked_its_context_and_no_set(
    worker: Worker, judged: Judged
) -> None:
    installed(worker, "public", strange(120))
    _, verdict = judged(0.3)
    assert verdict.verdict == "fail"
    assert [check.id for check in verdict.checks] == ["harm.direct", "harm.in_task"]


def test_what_cannot_be_asked_is_said(judged: Judged) -> None:
    _, verdict = judged(task=False)
    assert [check.id for check in verdict.checks] == ["harm.direct"]
    said = [warning for warning in verdict.warnings if warning.startswith("retest: ")]
    assert len(said) == 3
    assert "names no task data" in said[0]
    assert all("suites import" in warning for warning in said[1:])


@pytest.mark.parametrize("also", [{"split": "screen"}, {"repairs": None}])
def test_only_repairs_on_confirm_are_retested(
    worker: Worker, judged: Judged, also: dict[str, Any]
) -> None:
    _, verdict = judged(**also)
    assert [check.id for check in verdict.checks] == ["harm.direct"]
    assert not [warning for warning in verdict.warnings if warning.startswith("retest")]


def test_what_was_tuned_or_chosen_on_is_not_fresh(
    worker: Worker, judged: Judged, task_data: Path
) -> None:
    pool = [item.prompt for item in load_suite("rehearsal").items if isinstance(item, Request)]
    gate = [item.prompt for item in load_suite("harmful").items if isinstance(item, Request)]
    rows = [json.loads(line)["prompt"] for line in task_data.read_text().splitlines()]
    installed(worker, "known", [*pool[:50], *gate[:50], *dict.fromkeys(rows[:50])])
    _, verdict = judged()
    assert [check.id for check in verdict.checks] == ["harm.direct", "harm.in_task"]
    installed(worker, "half", [*gate[:50], *strange(30)])
    _, verdict = judged()
    assert {check.id: check.n for check in verdict.checks}["harm.direct@half"] == 30


def test_a_set_that_the_policy_asks_is_not_fresh(worker: Worker, judged: Judged) -> None:
    installed(worker, "public", strange(120))
    policy = harm().replace(
        "remediation:",
        "  harm.direct@public: {metric: attack_success_rate, max_regression: 0.1}\nremediation:",
    )
    _, verdict = judged(policy=policy)
    assert [check.id for check in verdict.checks] == [
        "harm.direct",
        "harm.direct@public",
        "harm.in_task",
    ]


def test_it_does_not_begin_where_the_jobs_time_may_be_over_first(
    worker: Worker, queue: Queue, claim: Claim, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RESERVE", 1e9)
    evaluation, verdict = judged()
    assert (verdict.verdict, [check.id for check in verdict.checks]) == ("pass", ["harm.direct"])
    assert any("not begun" in warning for warning in verdict.warnings)
    with reading(worker.database) as session:
        assert get_job(session, evaluation).status == "succeeded"


def test_rows_that_changed_since_stop_it_and_not_the_verdict(
    worker: Worker, queue: Queue, claim: Claim, models: Path, task_data: Path
) -> None:
    scripted_checkpoint(models / "repair", 2.0, refuse_share=1.0)
    sha = digest_of(task_data)
    task_data.write_text(task_data.read_text() + '{"prompt": "a", "completion": "b"}\n')
    evaluation = queue(
        "repair",
        policy=harm(),
        repairs="eroded",
        split="confirm",
        task_data=str(task_data),
        task_data_sha256=sha,
    )
    tasks.run(worker, claim())
    verdict = verdict_of(worker, evaluation)
    assert verdict.verdict == "pass"
    assert "retest: it broke off (InvalidTaskData)" in verdict.warnings


def test_a_worker_that_takes_over_asks_nothing_twice(
    worker: Worker, judged: Judged, claim: Claim
) -> None:
    evaluation, first = judged()
    with transaction(worker.database) as session:
        job = get_job(session, evaluation)
        job.status, job.finished_at = "queued", None
        job.deadline_at = jobs.now(session) + timedelta(hours=1)
        paid = get_evaluation(session, evaluation).cost.prompts
    tasks.run(worker, claim())
    with reading(worker.database) as session:
        assert get_evaluation(session, evaluation).cost.prompts == paid > 0
    assert verdict_of(worker, evaluation).with_cost(None) == first.with_cost(None)


def test_a_repair_by_its_template_says_in_its_verdict_that_the_task_had_a_safety_prompt(
    worker: Worker, remedy: Callable[..., jobs.Lease], claim: Claim, models: Path
) -> None:
    served = {"role": "system", "content": SystemTurn().prompt}
    rows = models / "chats.jsonl"
    rows.write_text(
        "".join(
            json.dumps(
                {
                    "messages": [
                        served,
                        {"role": "user", "content": f"Add {n} and 3."},
                        {"role": "assistant", "content": f"{n + 3}"},
                    ]
                }
            )
            + "\n"
            for n in range(40)
        )
    )
    data = {"task_data": str(rows), "task_data_sha256": digest_of(rows)}
    lease = remedy("ptst", {}, policy=harm(), **data)
    home = worker.settings.home / "checkpoints" / lease.job_id
    scripted_checkpoint(home, 3.0, refuse_share=1.0)
    tasks.run(worker, lease)
    with reading(worker.database) as session:
        child = str(get_remediation(session, lease.job_id).child_evaluation_id)
    tasks.run(worker, claim())
    verdict = verdict_of(worker, child)
    assert any("carried the safety prompt that it is served" in each for each in verdict.warnings)
    assert {"harm.direct", "harm.in_task"} <= {check.id for check in verdict.checks}
