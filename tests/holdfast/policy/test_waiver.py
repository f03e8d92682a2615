"""A waiver is one more line of the file; the rest stays as a person wrote it."""

import os
from datetime import date
from pathlib import Path

import pytest

from holdfast.errors import InvalidPolicy
from holdfast.policy.model import Waiver
from holdfast.policy.waiver import waive

TEXT = """\
# what ships must show
version: 1
name: mine
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}  # agreed in May
"""
WAIVER = Waiver(
    check="harm.direct", owner="ana", reason='says "no" {oddly}', expires=date(2026, 12, 31)
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "policy.yaml"
    file.write_text(TEXT)
    return file


def test_comments_stay_and_a_second_waiver_joins_the_first(path: Path) -> None:
    assert waive(path, WAIVER).waivers == (WAIVER,)
    other = WAIVER.model_copy(update={"owner": "ben", "reason": "yes: #2"})
    assert set(waive(path, other).waivers) == {WAIVER, other}
    assert path.read_text().startswith(TEXT)


@pytest.mark.parametrize(
    ("text", "waiver", "message"),
    [
        (TEXT, WAIVER.model_copy(update={"check": "harm.typo"}), "none of its checks"),
        (TEXT + "waivers: []\n", WAIVER, "on one line"),
        ("version: 2\n", WAIVER, "version"),
    ],
)
def test_nothing_is_written_unless_it_holds(
    path: Path, text: str, waiver: Waiver, message: str
) -> None:
    path.write_text(text)
    with pytest.raises(InvalidPolicy, match=message):
        waive(path, waiver)
    assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_nothing_is_written_through_a_link_that_lies_beside_the_file(path: Path) -> None:
    other = path.parent / "other" / "file"
    other.parent.mkdir()
    other.write_text("as it was")
    for name in (".policy.yaml.partial", f".policy.yaml.{os.getpid()}.partial"):
        path.with_name(name).symlink_to(other)
    assert waive(path, WAIVER).waivers == (WAIVER,)
    assert other.read_text() == "as it was"
    assert not path.is_symlink()


def test_the_newest_waiver_stands_first_and_reads_as_it_was_said(path: Path) -> None:
    waive(path, WAIVER)
    waive(path, WAIVER.model_copy(update={"owner": "bé", "reason": "über 2 %: «ja»"}))
    first = (
        '  - {check: "harm.direct", owner: "bé", reason: "über 2 %: «ja»", expires: 2026-12-31}\n'
    )
    added = path.read_text(encoding="utf-8").removeprefix(TEXT)
    assert added.startswith(f'waivers:\n{first}  - {{check: "harm.direct", owner: "ana", reason: ')
    assert added.count("\n") == 3


def test_a_heading_anywhere_in_the_file_is_found_and_nothing_else_moves(path: Path) -> None:
    head, checks = TEXT.split("checks:")
    path.write_text(f"{head}waivers:  \n  # none yet\nchecks:{checks}\n\n")
    with pytest.raises(InvalidPolicy, match="waivers is empty"):
        waive(path, WAIVER)
    row = "{check: harm.direct, owner: ben, reason: old, expires: 2025-01-01}"
    path.write_text(f"{head}waivers:  \n  - {row}\nchecks:{checks}\n\n")
    assert [waiver.owner for waiver in waive(path, WAIVER).waivers] == ["ana", "ben"]
    before, _, after = path.read_text().partition("waivers:  \n")
    assert (before, after.partition("\n")[2]) == (head, f"  - {row}\nchecks:{checks}")


@pytest.mark.parametrize("reason", ["a line\x85ends", "\x7f"])
def test_what_yaml_would_not_give_back_is_not_written(path: Path, reason: str) -> None:
    with pytest.raises(InvalidPolicy):
        waive(path, WAIVER.model_copy(update={"reason": reason}))
    assert path.read_text() == TEXT
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_cannot_be_read_is_said_to_be(tmp_path: Path) -> None:
    (tmp_path / "bytes.yaml").write_bytes(b"\xff")
    for name in ("none.yaml", "bytes.yaml"):
        with pytest.raises(InvalidPolicy, match=f"{name} cannot be read"):
            waive(tmp_path / name, WAIVER)
