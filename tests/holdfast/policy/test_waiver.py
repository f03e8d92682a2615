"""A waiver is one more line of the file; the rest stays as a person wrote it."""

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
