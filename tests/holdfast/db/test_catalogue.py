"""Registered once by content; an alias is moved only by who saw where it stood."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from holdfast.checkpoints.checkpoint import CheckpointRef, admit
from holdfast.db import catalogue
from holdfast.db.evaluations import (
    EvaluationFields,
    create_evaluation,
    create_remediation,
    get_remediation,
)
from holdfast.db.session import reading, transaction
from holdfast.db.tables import CheckpointRow, PolicyText
from holdfast.errors import Conflict, InvalidPlan, NotFound, StaleVersion
from holdfast.ids import is_id
from holdfast.policy.text import load_policy, parse_policy
from tests.holdfast.db.rows import add_checkpoint, add_policy
from tests.support.folders import write_checkpoint


@pytest.fixture
def ref(home: Path) -> CheckpointRef:
    return admit(str(write_checkpoint(home / "models" / "a")), [home])


def test_the_same_content_is_the_same_checkpoint(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    copy = admit(str(write_checkpoint(home / "models" / "copy")), [home])
    with transaction(database) as session:
        first = catalogue.register_checkpoint(session, "p", ref)
        again = catalogue.register_checkpoint(session, "p", copy)
        other = catalogue.register_checkpoint(session, "q", ref)
        assert (first.id, again.path, again.name) == (again.id, str(ref.path), "a")
        assert other.id != first.id
        with pytest.raises(NotFound):
            catalogue.get_checkpoint(session, "q", first.id)
        with pytest.raises(NotFound):
            catalogue.register_checkpoint(session, "q", ref, parent_id=first.id)


def test_a_parent_may_be_told_later_and_is_never_another(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    folders = [write_checkpoint(home / "models" / str(i), value=i) for i in (1, 2)]
    with transaction(database) as session:
        row = catalogue.register_checkpoint(session, "p", ref)
        first, second = (
            catalogue.register_checkpoint(session, "p", admit(str(folder), [home]))
            for folder in folders
        )
        assert catalogue.find_unaligned(session, row.id) is None
        with pytest.raises(InvalidPlan, match="name it as the baseline's `parent`"):
            catalogue.require_unaligned(session, row.id)
        for _ in range(2):
            catalogue.name_parent(session, row, first.id)
            assert catalogue.find_unaligned(session, row.id) == first
        for wrong in (second, row):
            with pytest.raises(Conflict):
                catalogue.name_parent(session, row, wrong.id)
        assert row.parent_id == first.id


def test_the_parent_of_a_repair_is_no_model_from_before_alignment(
    database: Engine, home: Path, ref: CheckpointRef
) -> None:
    failed = admit(str(write_checkpoint(home / "models" / "failed", value=1.0)), [home])
    with transaction(database) as session:
        failing = catalogue.register_checkpoint(session, "p", failed).id
        policy = catalogue.save_policy(session, "p", load_policy("demo"), "text").id
        origin = create_evaluation(
            session,
            EvaluationFields(
                project="p",
                queue="cpu",
                candidate_id=failing,
                baseline_id=failing,
                policy_id=policy,
                tier="demo",
            ),
        )
        made = create_remediation(session, origin, recipe="wise_ft", options={})
        repaired = catalogue.register_checkpoint(session, "p", ref, parent_id=failing)
        assert catalogue.find_unaligned(session, repaired.id) is not None
        get_remediation(session, made).checkpoint_id = repaired.id
        assert catalogue.find_unaligned(session, repaired.id) is None


def test_policies_by_what_they_mean(database: Engine) -> None:
    policy = load_policy("demo")
    with transaction(database) as session:
        first = catalogue.save_policy(session, "p", policy, "text")
        again = catalogue.save_policy(session, "p", policy, "# other layout")
        assert (first.id, again.text) == (again.id, "text")


def test_an_alias_moves_from_the_version_that_was_seen(
    database: Engine, ref: CheckpointRef
) -> None:
    def move(expected: int | None) -> int:
        with transaction(database) as session:
            target = catalogue.register_checkpoint(session, "p", ref).id
            return catalogue.set_baseline(
                session, "p", "production", target, actor="key_1", expected_version=expected
            ).version

    with pytest.raises(StaleVersion, match="not set, expected version 1"):
        move(1)
    assert [move(None), move(1), move(2)] == [1, 2, 3]
    for stale in (None, 1, 2, 4):
        with pytest.raises(StaleVersion, match="version 3"):
            move(stale)
    with transaction(database) as session:
        history = catalogue.baseline_history(session, "p", "production")
        assert [(one.version, one.actor) for one in history] == [
            (3, "key_1"),
            (2, "key_1"),
            (1, "key_1"),
        ]
        with pytest.raises(NotFound):
            catalogue.get_baseline(session, "q", "production")


def test_two_movers_at_once_make_one_move(database: Engine, ref: CheckpointRef) -> None:
    with transaction(database) as session:
        target = catalogue.register_checkpoint(session, "p", ref).id

    def move(number: int) -> bool:
        try:
            with transaction(database) as session:
                catalogue.set_baseline(
                    session, "p", "a", target, actor=str(number), expected_version=None
                )
        except StaleVersion:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(move, range(6))) == 1


# --- checkpoints ----------------------------------------------------------------------------


def register(database: Engine, ref: CheckpointRef, parent_id: str | None = None) -> CheckpointRow:
    with transaction(database) as session:
        return catalogue.register_checkpoint(session, "p", ref, parent_id=parent_id)


def set_alias(
    database: Engine, target: str, expected: int | None, *, alias: str = "a", project: str = "p"
) -> int:
    with transaction(database) as session:
        return catalogue.set_baseline(
            session, project, alias, target, actor="key_1", expected_version=expected
        ).version


def test_a_checkpoint_is_stored_as_it_was_admitted(database: Engine, ref: CheckpointRef) -> None:
    row = register(database, ref)
    assert is_id(row.id, "ckpt")
    assert (row.name, row.path, row.digest) == (ref.name, str(ref.path), ref.digest)
    assert (row.template_sha256, row.adapter, row.parent_id) == (ref.template_sha256, None, None)
    with reading(database) as session:
        files = catalogue.get_checkpoint(session, "p", row.id).files
    assert files == [list(entry) for entry in ref.files]


def places(database: Engine, row: CheckpointRow) -> list[str]:
    with reading(database) as session:
        return [place.path for place in catalogue.places_of(session, row)]


def test_every_folder_is_kept_and_the_first_stays_the_first(
    database: Engine, ref: CheckpointRef
) -> None:
    first = register(database, ref)
    for path in ("/1", "/2", "/1", str(ref.path)):
        again = register(database, replace(ref, path=Path(path)))
        assert (again.id, again.path) == (first.id, str(ref.path))
    assert places(database, first) == [str(ref.path), "/2", "/1"]


def test_of_many_folders_the_first_and_the_newest_are_kept(
    database: Engine, ref: CheckpointRef
) -> None:
    first = register(database, ref)
    copies = [f"/{number}" for number in range(catalogue.OTHER_PLACES + 3)]
    for path in copies:
        register(database, replace(ref, path=Path(path)))
    newest = copies[: -catalogue.OTHER_PLACES - 1 : -1]
    assert places(database, first) == [str(ref.path), *newest]


def test_a_folder_with_another_adapter_is_another_place(
    database: Engine, ref: CheckpointRef
) -> None:
    first = register(database, replace(ref, adapter=Path("/models/adapter")))
    for adapter in (Path("/elsewhere/adapter"), None, Path("/models/adapter")):
        register(database, replace(ref, adapter=adapter))
    with reading(database) as session:
        adapters = [place.adapter for place in catalogue.places_of(session, first)]
    assert adapters == ["/models/adapter", None, "/elsewhere/adapter"]


def test_registering_again_keeps_the_first_name_and_parent(
    database: Engine, ref: CheckpointRef
) -> None:
    base, other = add_checkpoint(database, "base"), add_checkpoint(database, "other")
    first = register(database, ref, base)
    again = register(database, replace(ref, name="renamed"), other)
    assert (again.id, again.name, again.parent_id) == (first.id, first.name, base)


def test_many_at_once_register_one_checkpoint(database: Engine, ref: CheckpointRef) -> None:
    with ThreadPoolExecutor(4) as pool:
        rows = list(pool.map(lambda _: register(database, ref), range(8)))
    assert len({row.id for row in rows}) == 1


def test_the_model_before_alignment_is_the_parent_and_no_older_one(
    database: Engine, ref: CheckpointRef
) -> None:
    oldest, base = add_checkpoint(database, "oldest"), add_checkpoint(database, "base")
    row = register(database, ref, base)
    with transaction(database) as session:
        catalogue.name_parent(session, catalogue.get_checkpoint(session, "p", base), oldest)
        assert catalogue.require_unaligned(session, row.id).id == base
        assert catalogue.require_unaligned(session, base).id == oldest
        assert catalogue.find_unaligned(session, oldest) is None


# --- lists ----------------------------------------------------------------------------------

LISTS: dict[str, tuple[Callable[..., Sequence[CheckpointRow | PolicyText]], Callable[..., str]]] = {
    "checkpoints": (catalogue.list_checkpoints, add_checkpoint),
    "policies": (catalogue.list_policies, add_policy),
}


@pytest.mark.parametrize("kind", LISTS)
def test_pages_newest_first_of_one_project(database: Engine, kind: str) -> None:
    listed, add = LISTS[kind]
    for name in ("1", "2", "3", "4"):
        add(database, name)
    add(database, "5", project="q")
    with reading(database) as session:
        pages = [
            [row.id for row in listed(session, "p", limit=3, before=before)]
            for before in (None, "3", "2", "1")
        ]
    assert pages == [["4", "3", "2"], ["2", "1"], ["1"], []]


GETTERS: dict[str, tuple[Callable[[Session, str, str], object], Callable[..., str]]] = {
    "checkpoint": (catalogue.get_checkpoint, add_checkpoint),
    "policy": (catalogue.get_policy, add_policy),
}


@pytest.mark.parametrize("kind", GETTERS)
def test_what_is_another_projects_is_not_found(database: Engine, kind: str) -> None:
    get, add = GETTERS[kind]
    add(database, "x1")
    with reading(database) as session:
        assert get(session, "p", "x1") is not None
        for project, name in [("q", "x1"), ("p", "x2")]:
            with pytest.raises(NotFound, match=f"no {kind} {name} in project {project}"):
                get(session, project, name)


# --- policies -------------------------------------------------------------------------------

SMALL = """\
version: 1
name: small
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""


def test_a_policy_that_means_something_else_is_another(database: Engine) -> None:
    texts = [SMALL, SMALL + "# a remark\n", SMALL.replace("0.10", "0.11")]
    with transaction(database) as session:
        rows = [
            catalogue.save_policy(session, project, parse_policy(text, source="p"), text)
            for project, text in [*(("p", text) for text in texts), ("q", SMALL)]
        ]
    first, same, stricter, theirs = rows
    assert (first.id, first.digest, first.text) == (same.id, same.digest, SMALL)
    assert len({first.id, stricter.id, theirs.id}) == 3
    assert (first.digest == theirs.digest, first.digest == stricter.digest) == (True, False)


# --- aliases --------------------------------------------------------------------------------


def test_an_alias_that_was_never_set_points_nowhere(database: Engine) -> None:
    with reading(database) as session:
        assert catalogue.find_baseline(session, "p", "a") is None
        assert catalogue.baseline_history(session, "p", "a") == []
        with pytest.raises(NotFound, match="`holdfast baseline set a PATH`"):
            catalogue.get_baseline(session, "p", "a")


def test_an_alias_points_where_it_was_moved_last(database: Engine) -> None:
    targets = [add_checkpoint(database, name) for name in ("1", "2")]
    targets.append(targets[0])  # and back
    for number, target in enumerate(targets):
        set_alias(database, target, number or None)
    with reading(database) as session:
        latest = catalogue.get_baseline(session, "p", "a")
        history = catalogue.baseline_history(session, "p", "a")
        assert catalogue.find_baseline(session, "p", "a") is latest
    assert (latest.version, latest.checkpoint_id) == (3, "1")
    assert [move.checkpoint_id for move in history] == ["1", "2", "1"]


def test_moving_to_the_same_place_is_a_move(database: Engine) -> None:
    target = add_checkpoint(database, "c")
    assert [set_alias(database, target, None), set_alias(database, target, 1)] == [1, 2]


def test_aliases_have_versions_of_their_own(database: Engine) -> None:
    target, theirs = add_checkpoint(database, "c"), add_checkpoint(database, "d", project="q")
    assert set_alias(database, target, None) == 1
    assert set_alias(database, target, None, alias="b") == 1
    assert set_alias(database, theirs, None, project="q") == 1
    assert set_alias(database, target, 1) == 2
    with reading(database) as session:
        histories = [
            len(catalogue.baseline_history(session, *place))
            for place in [("p", "a"), ("p", "b"), ("q", "a"), ("q", "b")]
        ]
    assert histories == [2, 1, 1, 0]


@pytest.mark.parametrize("target", ["theirs", "none"])
def test_an_alias_points_at_a_checkpoint_of_its_project(database: Engine, target: str) -> None:
    add_checkpoint(database, "theirs", project="q")
    with pytest.raises(NotFound, match=f"no checkpoint {target}"):
        set_alias(database, target, None)
    with reading(database) as session:
        assert catalogue.find_baseline(session, "p", "a") is None


def test_a_stale_move_writes_nothing_and_says_what_to_send(database: Engine) -> None:
    target = add_checkpoint(database, "c")
    set_alias(database, target, None)
    with pytest.raises(StaleVersion, match=r"is version 1, expected not set yet .*If-Match"):
        set_alias(database, target, None)
    for stale in (0, 2):
        with pytest.raises(StaleVersion, match=f"is version 1, expected version {stale}"):
            set_alias(database, target, stale)
    with reading(database) as session:
        assert len(catalogue.baseline_history(session, "p", "a")) == 1
