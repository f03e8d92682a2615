"""Rooms that can be taken in at a glance: at most 15 files, none too small to open for."""

from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGES = ("holdfast", "service", "workers", "training")
MOST_FILES, FEWEST_LINES = 15, 25
ONE_OF_A_KIND = {  # rooms whose files are each one of a kind: their number is the catalogue's
    "holdfast/attacks",
    "holdfast/cli",
    "holdfast/importers",
    "holdfast/judges",
    "holdfast/probes",
    "service/routes",
    "training/recipes",
}
SMALL = {  # what several rooms need that must not know each other, and whatever starts a process
    "holdfast/checkpoints/view_paths.py": "named alike by workers and training, which never meet",
    "holdfast/evidence/answer_text.py": "one rule for asking, for judging again and for reports",
    "holdfast/scopes.py": "of keys in the database and of bodies on the wire",
    "holdfast/stats/multiplicity.py": "of whole verdicts and of items that one side forgot",
    "holdfast/stats/sides.py": "the arrays that every test of the room takes",
    "training/devices/processes.py": "of merges, which load no library of parallel training",
    "training/progress.py": "the lowest floor: what recipes and merges call, and main writes",
    "workers/main.py": "what Celery is started with",
}


def modules(room: Path) -> list[Path]:
    """A room's files, without the one that says what the room is for."""
    return [path for path in room.glob("*.py") if not path.name.startswith("__")]


ROOMS = sorted(
    room
    for package in PACKAGES
    for room in (ROOT / package, *(ROOT / package).rglob("*/"))
    if modules(room)
)


@pytest.mark.parametrize("room", ROOMS, ids=lambda room: str(room.relative_to(ROOT)))
def test_a_room_holds_few_files_and_none_for_its_own_sake(room: Path) -> None:
    if str(room.relative_to(ROOT)) in ONE_OF_A_KIND:
        return
    assert len(modules(room)) <= MOST_FILES
    small = {
        str(path.relative_to(ROOT))
        for path in modules(room)
        if len(path.read_text(encoding="utf-8").splitlines()) < FEWEST_LINES
    }
    assert small <= SMALL.keys(), "merge it with what is always read with it, or say why not"


def test_what_is_small_for_a_reason_is_still_there() -> None:
    assert [path for path in SMALL if not (ROOT / path).is_file()] == []
