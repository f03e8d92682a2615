"""Pruning by age, in both databases: what goes, what stays, and what a run says of it."""

import fcntl
import os
import time
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from holdfast.db.session import reading
from holdfast.db.tables import AnswerRow, EventRow, TrialRow
from holdfast.projects.audit import all_events, head_of
from holdfast.projects.chain import verify
from holdfast.projects.prune import REMOVERS, ages, prune
from holdfast.projects.retention.merged import FOLDER
from holdfast.projects.retention.removed import Removed
from holdfast.settings import Settings
from tests.holdfast.db.rows import add_evaluation, add_remediation, change_job
from tests.holdfast.projects.retention.rows import (
    DAY,
    add_answers,
    add_judged,
    add_repair,
    add_weights,
    checkpoint_of,
    count,
    end,
    point,
)

KINDS = tuple(REMOVERS)
ALL = {f"keep_{kind}_days": 30.0 for kind in KINDS}


def with_ages(place: Settings, **days: float) -> Settings:
    return place.model_copy(update=days)


def fill(database: Engine, place: Settings, *, days: float) -> tuple[str, str]:
    """A judged evaluation of a checkpoint, answers of it, and a repair: so many days old."""
    evaluation = add_judged(database, days=days)
    add_answers(database, "sha256:c", [f"{days}-{number}" for number in range(3)], days=days)
    repair = add_repair(database, place, evaluation, days=days)
    end(database, evaluation, days=days)  # with the event that says that it is repaired
    add_merged(place.home, repair.partition("_")[2], days=days)
    return evaluation, repair


def add_merged(home: Path, digest: str, *, days: float) -> Path:
    """What a base and an adapter came to, last used so many days ago; the record of its digest."""
    folder = home / FOLDER / digest
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"w" * 100)
    record = folder.with_suffix(".digest")
    record.write_text("sha256:…")
    used = time.time() - days * DAY
    os.utime(record, (used, used))
    return record


def what_is_there(database: Engine, home: Path, evaluation: str, repair: str) -> dict[str, int]:
    """How much of each kind there is."""
    files = [path for path in home.rglob("*") if path.is_file() and repair in str(path)]
    return {
        "answers": count(database, AnswerRow),
        "events": count(database, EventRow, EventRow.job_id.in_([evaluation, repair])),
        "trials": count(database, TrialRow, TrialRow.evaluation_id == evaluation),
        "transcripts": sum("checkpoints" not in str(path) for path in files),
        "repairs": sum("checkpoints" in str(path) for path in files),
        "merged": len(list((home / FOLDER / repair.partition("_")[2]).rglob("*.safetensors"))),
    }


def test_a_merged_adapter_that_is_in_use_stays_and_one_that_went_is_to_be_made_again(
    filled: Engine, place: Settings
) -> None:
    old, busy, new = (
        add_merged(place.home, name, days=days)
        for name, days in (("old", 0.6), ("busy", 0.6), ("new", 0.4))
    )
    with busy.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # as a worker that opens what was merged
        amount = prune(filled, with_ages(place, keep_merged_days=0.001)).amounts["merged"]
    assert amount == Removed(files=1, bytes=100)
    assert sorted(path.name for path in old.parent.iterdir() if path.is_dir()) == ["busy", "new"]
    assert (old.read_text(), new.read_text()) == ("", "sha256:…")


def test_without_an_age_everything_is_kept_for_ever(filled: Engine, place: Settings) -> None:
    evaluation, repair = fill(filled, place, days=9_000)
    before = what_is_there(filled, place.home, evaluation, repair)
    assert prune(filled, place).amounts == dict.fromkeys(KINDS)
    assert what_is_there(filled, place.home, evaluation, repair) == before
    assert min(before.values()) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_one_kind_is_removed_past_its_age_and_no_other(
    filled: Engine, place: Settings, kind: str
) -> None:
    evaluation, repair = fill(filled, place, days=31)
    other = add_weights(filled, place.home / "other")
    add_evaluation(filled, candidate_id=other, baseline_id=other)  # whose event is the newest
    before = what_is_there(filled, place.home, evaluation, repair)
    aged = with_ages(place, **{f"keep_{kind}_days": 30.0})
    counted = prune(filled, aged, dry_run=True)
    assert what_is_there(filled, place.home, evaluation, repair) == before
    assert prune(filled, aged) == counted
    assert counted.problems == ()
    amount = counted.amounts[kind]
    assert amount is not None
    assert (amount.rows or amount.files, amount.bytes > 0) == (before[kind], True)
    assert what_is_there(filled, place.home, evaluation, repair) == {**before, kind: 0}
    assert prune(filled, aged).amounts[kind] == Removed()


def test_what_is_younger_stays(filled: Engine, place: Settings) -> None:
    evaluation, repair = fill(filled, place, days=29)
    before = what_is_there(filled, place.home, evaluation, repair)
    assert prune(filled, with_ages(place, **ALL)).amounts == dict.fromkeys(KINDS, Removed())
    assert what_is_there(filled, place.home, evaluation, repair) == before


def test_every_kind_has_its_setting() -> None:
    settings = Settings(home=Path("/x"), database_url="sqlite://", broker_url="redis://", **ALL)
    assert ages(settings) == dict.fromkeys(KINDS, 30.0)


@pytest.mark.parametrize("unfinished", ["evaluation", "repair", "try", "child"])
def test_nothing_of_a_story_is_pruned_while_a_job_of_it_is_unfinished(
    filled: Engine, place: Settings, unfinished: str
) -> None:
    evaluation, repair = fill(filled, place, days=31)
    match unfinished:
        case "evaluation":
            change_job(filled, evaluation, status="queued", finished_at=None)
        case "repair":
            add_remediation(filled, evaluation)
        case "try":
            ladder = add_remediation(filled, evaluation, recipe="auto")
            end(filled, ladder, days=31, status="failed")
            add_remediation(filled, evaluation, parent_id=ladder)
        case "child":
            add_evaluation(filled, remediation_id=repair)
    before = what_is_there(filled, place.home, evaluation, repair)
    of_stories = {**ALL, "keep_merged_days": None}  # a cache is of no story
    amounts = prune(filled, place.model_copy(update=of_stories)).amounts
    assert amounts == dict.fromkeys(KINDS, Removed()) | {"merged": None}
    assert what_is_there(filled, place.home, evaluation, repair) == before


def test_a_running_job_keeps_its_own_events_however_old(filled: Engine, place: Settings) -> None:
    evaluation = add_judged(filled, days=31)
    change_job(filled, evaluation, status="running", finished_at=None)
    assert prune(filled, with_ages(place, **ALL)).amounts["events"] == Removed()


def test_the_number_of_an_event_never_comes_again(filled: Engine, place: Settings) -> None:
    evaluation = add_judged(filled, days=31)
    newest = newest_event(filled)
    prune(filled, with_ages(place, keep_events_days=30))
    assert count(filled, EventRow, EventRow.job_id == evaluation) == 1
    add_evaluation(filled)
    assert newest_event(filled) > newest


def newest_event(database: Engine) -> int:
    with reading(database) as session:
        return max(session.scalars(EventRow.__table__.select().with_only_columns(EventRow.seq)))


# --- the weights of repairs -----------------------------------------------------------------


def weights_stay(database: Engine, place: Settings, repair: str) -> bool:
    prune(database, with_ages(place, keep_repairs_days=30))
    return (place.repairs / repair).exists()


def test_weights_stay_while_an_alias_points_at_them(filled: Engine, place: Settings) -> None:
    _, repair = fill(filled, place, days=31)
    point(filled, "production", checkpoint_of(filled, repair))
    assert weights_stay(filled, place, repair)
    point(filled, "production", "c", version=2)
    assert not weights_stay(filled, place, repair)


@pytest.mark.parametrize("side", ["candidate_id", "baseline_id", "anchor_id", "repairs_id"])
def test_weights_stay_while_an_unfinished_evaluation_reads_them(
    filled: Engine, place: Settings, side: str
) -> None:
    _, repair = fill(filled, place, days=31)
    reader = add_evaluation(filled, **{side: checkpoint_of(filled, repair)})
    assert weights_stay(filled, place, repair)
    end(filled, reader, days=0)
    assert not weights_stay(filled, place, repair)


def test_weights_stay_that_were_a_baseline_before_its_alignment(
    filled: Engine, place: Settings
) -> None:
    """`safe_merge` compares with the parent of the baseline."""
    _, repair = fill(filled, place, days=31)
    parent = checkpoint_of(filled, repair)
    aligned = add_weights(filled, place.home / "aligned", parent_id=parent)
    reader = add_evaluation(filled, baseline_id=aligned)
    assert weights_stay(filled, place, repair)
    end(filled, reader, days=0)
    assert not weights_stay(filled, place, repair)


def test_weights_stay_that_another_project_is_known_to_use(filled: Engine, place: Settings) -> None:
    """The same content, registered elsewhere under another id, is what an alias points at."""
    _, repair = fill(filled, place, days=31)
    twin = add_weights(filled, place.home / "elsewhere" / repair, project="q")
    point(filled, "production", twin)
    assert weights_stay(filled, place, repair)


def test_weights_that_no_job_of_ours_made_are_never_touched(
    filled: Engine, place: Settings
) -> None:
    strangers = [place.repairs / name for name in ("watched", f"rem_{'0' * 32}", "rem_x")]
    for folder in strangers:
        folder.mkdir(parents=True)
    assert prune(filled, with_ages(place, **ALL)).amounts["repairs"] == Removed()
    assert all(folder.exists() for folder in strangers)


def test_the_adapter_of_a_repair_goes_with_it_and_both_are_on_record(
    filled: Engine, place: Settings
) -> None:
    _, repair = fill(filled, place, days=31)
    adapter = place.repairs / f"{repair}-adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"a" * 7)
    removed = prune(filled, with_ages(place, keep_repairs_days=30)).amounts["repairs"]
    assert removed == Removed(files=2, bytes=107)
    assert list(place.repairs.iterdir()) == []
    with reading(filled) as session:
        events = list(all_events(session, "p"))
        assert verify("p", events) == head_of(session, "p")
    (event,) = events
    assert (event["action"], event["target"], event["authenticated"]) == (
        "weights.prune",
        repair,
        "operator",
    )


def test_what_a_killed_run_has_renamed_the_next_one_removes(
    filled: Engine, place: Settings
) -> None:
    away = place.repairs / f".rem_{'1' * 32}.pruned"
    away.mkdir(parents=True)
    (away / "model.safetensors").write_bytes(b"w")
    prune(filled, place, dry_run=True)
    assert away.exists()
    prune(filled, place)
    assert not away.exists()


def test_a_file_that_cannot_be_removed_is_a_problem_and_stops_nothing(
    filled: Engine, place: Settings
) -> None:
    _, first = fill(filled, place, days=31)
    _, second = fill(filled, place, days=32)
    long_name = place.repairs / f"{first}-{'a' * 215}"  # with more, it is longer than a name may be
    long_name.mkdir()
    pruned = prune(filled, with_ages(place, keep_repairs_days=30))
    (problem,) = pruned.problems
    assert problem.startswith(f"the files of {first} cannot be removed: ")
    assert not (place.repairs / second).exists()
    assert pruned.amounts["repairs"] == Removed(files=1, bytes=100)
    assert (place.repairs / first / "model.safetensors").exists()


def test_pages_are_removed_to_the_end(
    filled: Engine, place: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("holdfast.projects.retention.rows.PAGE", 2)
    add_answers(filled, "sha256:c", "abcde", days=31)
    add_answers(filled, "sha256:c", "fg", days=29)
    removed: Any = prune(filled, with_ages(place, keep_answers_days=30)).amounts["answers"]
    assert (removed.rows, count(filled, AnswerRow)) == (5, 2)
