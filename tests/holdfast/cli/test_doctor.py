"""The doctor on this machine, on a broken one, and the noise of a scripted checkpoint."""

from pathlib import Path

from holdfast.canaries import write_canaries
from holdfast.noise import find_noise
from tests.support.command import document, holdfast


def levels(found: dict[str, list[dict[str, str]]]) -> dict[str, str]:
    return {one["what"]: one["level"] for one in found["findings"]}


def test_a_machine_that_can_run_the_gate_and_its_noise(home: Path, tmp_path: Path) -> None:
    aligned = write_canaries(tmp_path / "canaries")["aligned"]
    words = ("doctor", "--noise", aligned, "--json")
    done = holdfast(*words, cwd=tmp_path, home=home, engine="scripted")
    found = document(done)
    assert done.returncode == 0
    assert set(levels(found)) == {"engine", "device", "memory", "disk", "database", "broker"}
    assert found["noise"]["probes"]["harm.direct"]["flips"] == 0
    assert find_noise(home, found["noise"]["checkpoint"]) is not None


def test_what_stands_in_the_way_is_exit_4(home: Path, tmp_path: Path) -> None:
    (home / "holdfast.db").write_bytes(b"")
    settings = {"home": home, "broker_url": "redis://127.0.0.1:1"}
    done = holdfast("doctor", "--json", cwd=tmp_path, **settings)
    found = levels(document(done))
    assert done.returncode == 4
    assert (found["broker"], found["database"]) == ("bad", "bad")


def test_no_checkpoint_no_noise(home: Path, tmp_path: Path) -> None:
    words = ("doctor", "--noise", tmp_path / "nothing", "--json")
    done = holdfast(*words, cwd=tmp_path, home=home, engine="scripted")
    assert done.returncode == 4
    assert document(done)["error"]["title"] == "HarnessError"
    assert not (home / "noise").exists()
