"""The story of a repair up to its plan, and from its checkpoint on; the training itself is e2e."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from holdfast.checkpoints.checkpoint import admit
from holdfast.db import jobs
from holdfast.db.documents import Race
from holdfast.db.evaluations import (
    events_after,
    get_evaluation,
    get_job,
    get_remediation,
)
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, JobRow, RemediationRow
from holdfast.errors import InvalidPlan, TrainingFailed
from holdfast.repairs.knobs import SystemTurn
from holdfast.repairs.plan import Mix, Watching, rows_drawn
from holdfast.repairs.task_data import digest_of, read_rehearsal
from tests.support.stack import scripted_checkpoint
from tests.support.tiny_llama import build_tiny_llama
from workers import tasks
from workers.evaluation.case import load_repair
from workers.repairs.leftovers import STATE
from workers.repairs.planning import make_plan, validate_plan, without_task
from workers.repairs.remedy import child_of, repair
from workers.worker import Worker

Queue = Callable[..., str]
Claim = Callable[[], jobs.Lease]
Remedy = Callable[..., jobs.Lease]


def planned(worker: Worker, lease: jobs.Lease) -> Any:
    job = load_repair(worker, lease.job_id)
    job.workspace.mkdir(parents=True)
    return make_plan(worker, lease, job)


def test_an_average_needs_nothing_but_the_two(worker: Worker, remedy: Remedy) -> None:
    plan = planned(worker, remedy("wise_ft", {"candidate_weight": 0.5}))
    assert (plan.recipe, plan.candidate_weight) == ("wise_ft", 0.5)
    assert (plan.baseline.name, plan.candidate.name) == ("aligned", "eroded")
    assert plan.rehearsal_data is None
    assert not worker.engine.alive


def test_a_rehearsal_starts_from_the_baseline_and_learns_the_task_again(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    plan = planned(worker, remedy("rehearsal", {"steps": 4}, **given))
    assert (plan.start, plan.steps, plan.mix) == ("baseline", 4, Mix())
    assert plan.task_data == task_data
    assert plan.rehearsal_data.is_file()


def test_ptst_warns_where_the_task_was_learnt_under_a_safety_prompt(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    rows = [json.loads(line) for line in task_data.read_text().splitlines()]
    prompt = [{"role": "system", "content": SystemTurn().prompt}]
    chats = [
        {
            "prompt": [*prompt, {"role": "user", "content": row["prompt"]}],
            "completion": [{"role": "assistant", "content": row["completion"]}],
        }
        for row in rows
    ]
    task_data.write_text("".join(f"{json.dumps(row)}\n" for row in chats))
    lease = remedy("ptst", {}, task_data=str(task_data), task_data_sha256=digest_of(task_data))
    assert planned(worker, lease).recipe == "ptst"
    with reading(worker.database) as session:
        notes = [e.document for e in events_after(session, lease.job_id, 0) if e.kind == "note"]
    assert len(notes) == 1
    assert "carried the safety prompt that it is served with" in notes[0]["text"]
    assert rows[0]["prompt"] not in notes[0]["text"]


def test_without_task_data_it_starts_from_the_candidate_on_safety_rows_alone(
    worker: Worker, remedy: Remedy
) -> None:
    plan = planned(worker, remedy("rehearsal", {"steps": 4}))
    assert (plan.start, plan.task_data, plan.mix.task) == ("candidate", None, 0.0)
    usual = Mix()
    assert plan.mix.refusals / plan.mix.answers == pytest.approx(usual.refusals / usual.answers)


def test_a_third_stage_goes_on_from_the_candidate_with_some_task_rows(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    mix = {"task": 0.2, "refusals": 0.35, "answers": 0.45}
    options = {"start": "candidate", "steps": 5, "mix": mix, "steer": {"rows": 3}}
    plan = planned(worker, remedy("rehearsal", options, **given))
    assert (plan.start_checkpoint.name, plan.task_data) == ("eroded", task_data)
    assert rows_drawn(plan.mix, 40) == {"task": 8, "refusal": 14, "answer": 18}
    kinds = [row.kind for row in read_rehearsal(plan.rehearsal_data)]
    assert (kinds.count("refusal"), kinds.count("answer")) == (14 + 4, 18)


def test_an_anchored_repair_learns_the_task_and_needs_rows_for_its_bound(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    plan = planned(worker, remedy("kl_anchor", {"steps": 1, "anchor": {"rows": 4}}, **given))
    drawn = rows_drawn(plan.mix, plan.batch_size)
    assert plan.rehearsal_data is not None
    assert len(plan.rehearsal_data.read_text().splitlines()) == (
        drawn["refusal"] + drawn["answer"] + 4
    )


def test_an_anchored_repair_without_task_data_is_refused_before_anything_is_asked(
    worker: Worker, remedy: Remedy
) -> None:
    with pytest.raises(InvalidPlan, match="names no task_data"):
        planned(worker, remedy("kl_anchor", {}))
    assert not worker.engine.alive


def test_safe_merge_reads_the_parent_of_the_baseline_as_the_model_from_before_alignment(
    worker: Worker, remedy: Remedy, models: Path
) -> None:
    scripted_checkpoint(models / "before", 2.0)
    options = {"safe_merge": {"threshold": 0.5}}
    plan = planned(worker, remedy("safe_merge", options, unaligned="before"))
    assert (plan.safe_merge.unaligned, plan.safe_merge.threshold) == (models / "before", 0.5)


def test_safe_merge_without_a_parent_of_the_baseline_ends_in_one_sentence(
    worker: Worker, remedy: Remedy
) -> None:
    with pytest.raises(InvalidPlan, match="is registered without the model from before it"):
        planned(worker, remedy("safe_merge", {}))


@pytest.mark.parametrize(
    ("options", "watch"),
    [({}, Watching()), ({"watch": {"rows": 5, "limit": 0.5}}, Watching(rows=5, limit=0.5))],
)
def test_an_early_stop_learns_the_task_alone_and_holds_refusals_back_to_watch(
    worker: Worker, remedy: Remedy, task_data: Path, options: dict[str, Any], watch: Watching
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    plan = planned(worker, remedy("early_stop", {"steps": 4, **options}, **given))
    assert (plan.start, plan.task_data, plan.watch) == ("baseline", task_data, watch)
    assert plan.mix == Mix(task=1, refusals=0, answers=0)
    kept = read_rehearsal(plan.rehearsal_data)
    assert {row.kind for row in kept} == {"refusal"}
    assert len(kept) == watch.rows + 1  # training asks for one more than it watches


def test_a_oneshot_patches_the_candidate_and_asks_for_what_it_chooses_from(
    worker: Worker, remedy: Remedy
) -> None:
    plan = planned(worker, remedy("oneshot", {"oneshot": {"choose_from": 9}}))
    assert (plan.start, plan.steps, plan.task_data) == ("candidate", 10, None)
    assert plan.mix == Mix(task=0, refusals=0.5, answers=0.5)
    kinds = [row.kind for row in read_rehearsal(plan.rehearsal_data)]
    assert (kinds.count("refusal"), kinds.count("answer")) == (9, 4)


def test_a_third_stage_begins_at_the_candidate_and_needs_no_task_data(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    plan = planned(worker, remedy("third_stage", {}, **given))
    assert (plan.start, plan.steps, plan.mix.task) == ("candidate", 20, 0.2)
    without = planned(worker, remedy("third_stage", {}))
    assert (without.start, without.task_data) == ("candidate", None)


def test_safe_steps_learn_the_task_alone_and_ask_for_the_refusals_that_they_keep(
    worker: Worker, remedy: Remedy, task_data: Path
) -> None:
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    plan = planned(worker, remedy("safe_gradient", {"safe_gradient": {"rows": 5}}, **given))
    assert (plan.start, plan.task_data) == ("baseline", task_data)
    assert plan.mix == Mix(task=1, refusals=0, answers=0)
    kinds = [row.kind for row in read_rehearsal(plan.rehearsal_data)]
    assert (kinds.count("refusal"), kinds.count("answer")) == (5, 0)
    with pytest.raises(InvalidPlan, match="names no task_data"):
        planned(worker, remedy("safe_gradient", {}))


def test_the_shares_without_a_task_keep_their_proportion() -> None:
    assert without_task(Mix(task=0.5, refusals=0.1, answers=0.4)) == Mix(
        task=0, refusals=0.2, answers=0.8
    )


def test_a_wrong_option_is_named(tmp_path: Path) -> None:
    fields = {"recipe": "wise_ft", "baseline": tmp_path, "output": tmp_path, "candidate_weight": 2}
    with pytest.raises(InvalidPlan, match="option candidate_weight"):
        validate_plan(fields)


def test_a_checkpoint_that_a_lost_worker_left_is_registered_and_gated_not_made_again(
    worker: Worker, remedy: Remedy, queue: Queue
) -> None:
    told = {"enable_thinking": False}
    lease = remedy("wise_ft", {}, tier="demo", template="candidate", template_arguments=told)
    output = worker.settings.home / "checkpoints" / lease.job_id
    output.parent.mkdir(exist_ok=True)
    scripted_checkpoint(output, 9.0)
    repair(worker, lease)
    found = admit(str(output), worker.settings.roots)
    with reading(worker.database) as session:
        row = get_remediation(session, lease.job_id)
        failing = get_evaluation(session, row.evaluation_id)
        checkpoint = session.get_one(CheckpointRow, row.checkpoint_id)
        child = get_evaluation(session, str(row.child_evaluation_id))
        job, child_job = (
            session.get_one(JobRow, one) for one in (lease.job_id, row.child_evaluation_id)
        )
    assert (job.status, row.plan) == ("succeeded", None)
    assert (checkpoint.digest, checkpoint.parent_id) == (found.digest, failing.candidate_id)
    assert (child.candidate_id, child.baseline_id) == (checkpoint.id, failing.baseline_id)
    assert (child.repairs_id, child.remediation_id) == (failing.candidate_id, lease.job_id)
    assert (child.split, child.template, child.tier) == ("confirm", "candidate", "demo")
    assert child.template_arguments == told
    assert (child_job.status, child_job.queue, child_job.project) == ("queued", "cpu", "p")


def test_a_training_that_was_killed_goes_on_where_it_was(
    worker: Worker, remedy: Remedy, models: Path, task_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(models / "aligned")
    build_tiny_llama(models / "aligned")
    (models / "aligned" / "scripted.json").write_text('{"refuse_share": 1.0, "loss": 1.5}')
    short = {"steps": 9, "batch_size": 2, "max_length": 512, "save_seconds": 0}
    given = {"task_data": str(task_data), "task_data_sha256": digest_of(task_data)}
    lease = remedy("rehearsal", {**short, "lora": {"keep": True}}, **given)
    run, made = worker.training.run, worker.settings.home / "checkpoints"

    def killed(plan: Path) -> Iterator[dict[str, Any]]:
        for line in run(plan):
            yield line
            if line.get("step") == 3:
                (made / f".{lease.job_id}.x.partial").mkdir()
                (made / f"{lease.job_id}-adapter").mkdir()
                worker.training.kill()

    with monkeypatch.context() as patched:
        patched.setattr(worker.training, "run", killed)
        with pytest.raises(TrainingFailed):
            repair(worker, lease)
    workspace = worker.settings.home / "work" / lease.job_id
    assert (workspace / STATE / "state.pt").is_file()
    repair(worker, lease)
    with reading(worker.database) as session:
        told = [event.document for event in events_after(session, lease.job_id, 0)]
        ended = get_remediation(session, lease.job_id).progress
    notes = [one["text"] for one in told if one.get("event") == "note"]
    assert any("going on after step" in text for text in notes), notes
    assert ended["adapter"] == str(made / f"{lease.job_id}-adapter")
    assert sorted(one.name for one in made.iterdir()) == [lease.job_id, f"{lease.job_id}-adapter"]
    assert not (workspace / STATE).exists()


def test_what_a_kill_left_is_removed_once_the_repair_has_ended(
    worker: Worker, remedy: Remedy
) -> None:
    lease = remedy("kl_anchor", {})  # refused: there is no task data
    partial = worker.settings.home / "checkpoints" / f".{lease.job_id}.x.partial"
    state = worker.settings.home / "work" / lease.job_id / STATE
    for folder in (partial, state):
        folder.mkdir(parents=True)
    tasks.run(worker, lease)
    with reading(worker.database) as session:
        assert session.get_one(JobRow, lease.job_id).status == "failed"
    assert not partial.exists()
    assert not state.exists()


def test_a_plan_stands_in_the_row_and_beside_its_data_and_a_child_carries_it_out(
    worker: Worker, remedy: Remedy
) -> None:
    lease = remedy("wise_ft", {})
    repair(worker, lease)
    file = worker.settings.home / "work" / lease.job_id / "plan.json"
    with reading(worker.database) as session:
        row = get_remediation(session, lease.job_id)
        kinds = [event.kind for event in events_after(session, lease.job_id, 0)]
    assert row.plan == json.loads(file.read_text())
    assert row.progress["event"] == "done"
    assert kinds.index("plan") < kinds.index("training") < kinds.index("repaired")


def test_the_evaluation_of_a_repair_asks_what_the_failing_one_asked(
    worker: Worker, queue: Queue
) -> None:
    evaluation = queue()
    with transaction(worker.database) as session:
        owner = get_job(session, evaluation)
        failing = get_evaluation(session, owner.id)
        owner.priority, failing.race = 7, Race(items=20, probes=("harm.direct",))
        row = RemediationRow(id="rem_1", recipe="wise_ft", split="confirm")
        made = child_of(failing, owner, "ckpt_1", row)
    assert (made.candidate_id, made.repairs_id) == ("ckpt_1", failing.candidate_id)
    assert (made.priority, made.split, made.race) == (7, "confirm", None)
    assert (made.baseline_id, made.policy_id) == (failing.baseline_id, failing.policy_id)
