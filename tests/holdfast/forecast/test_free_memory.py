"""What is left is the lesser of the machine's and the control group's."""

from pathlib import Path

import pytest

from holdfast.forecast.free_memory import free_memory

GIB = 1 << 30


@pytest.mark.parametrize(
    ("most", "used", "left"),
    [(None, 0, 8 * GIB), ("max", 0, 8 * GIB), (6 * GIB, 5 * GIB, GIB), (20 * GIB, GIB, 8 * GIB)],
    ids=["no group", "no limit", "a tight group", "a wide group"],
)
def test_the_lesser_of_machine_and_group(
    most: int | str | None, used: int, left: int, tmp_path: Path
) -> None:
    machine = tmp_path / "meminfo"
    machine.write_text(f"MemTotal: 99 kB\nMemAvailable:   {8 * GIB // 1024} kB\n")
    if most is not None:
        (tmp_path / "memory.max").write_text(f"{most}\n")
        (tmp_path / "memory.current").write_text(f"{used}\n")
    assert free_memory(machine, tmp_path) == left


def test_a_system_that_does_not_say_has_nothing_to_spare(tmp_path: Path) -> None:
    assert free_memory(tmp_path / "meminfo", tmp_path) == 0


def test_this_machine_says() -> None:
    assert free_memory() > 0
