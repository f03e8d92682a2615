"""The folders that a command line names: their real place, what is permitted, what is ignored."""

import argparse
from pathlib import Path

import pytest

from holdfast.checkpoints.adapter import admit_checkpoint
from holdfast.cli.check import stack_settings
from holdfast.cli.named_folders import ignored_in, named_folders, permitted_root, tell_ignored
from holdfast.ids import new_id
from tests.support.checkpoint_files import shard, sound_checkpoint
from tests.support.folder_layouts import JUDGED, Build, hub_snapshot, latest_link


def options(candidate: Path, baseline: Path) -> argparse.Namespace:
    named = {"candidate": str(candidate), "baseline": str(baseline)}
    return argparse.Namespace(**named, adapter=None, anchor="alias:anchor", task_data=None)


@pytest.mark.parametrize("build", [hub_snapshot, latest_link])
def test_check_permits_the_real_place_of_what_is_named(build: Build, tmp_path: Path) -> None:
    named = build(sound_checkpoint(tmp_path / "model"))
    plain = sound_checkpoint(tmp_path / "plain")
    settings = stack_settings(tmp_path / "home", options(named, plain))
    assert admit_checkpoint(str(named), None, settings.roots).digest == (
        admit_checkpoint(str(plain), None, settings.roots).digest
    )


def test_of_a_snapshot_the_whole_repository_is_permitted_and_of_a_link_what_it_leads_to(
    tmp_path: Path,
) -> None:
    snapshot = hub_snapshot(sound_checkpoint(tmp_path / "model"))
    assert permitted_root(snapshot) == tmp_path / "hub" / "models--owner--name"
    latest = latest_link(tmp_path / "model")
    found = dict(named_folders(options(latest, snapshot)))
    assert found == {"candidate": tmp_path / "model", "baseline": snapshot}
    assert permitted_root(found["candidate"]) == tmp_path


def test_a_folder_named_like_an_id_or_an_alias_is_neither_permitted_nor_looked_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    named = new_id("ckpt")
    for word in (named, "alias:anchor"):
        sound_checkpoint(tmp_path / word)
    words = options(Path(named), tmp_path / "absent")
    assert [*named_folders(words)] == []
    words.anchor, words.baseline = "./alias:anchor", f"./{named}"
    assert dict(named_folders(words)) == {
        "baseline": tmp_path / named,
        "anchor": tmp_path / "alias:anchor",
    }


@pytest.mark.parametrize(
    ("build", "ignored"), [row[1:] for row in JUDGED], ids=[row[0] for row in JUDGED]
)
def test_what_admission_ignores_is_told_before(
    build: Build, ignored: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = build(sound_checkpoint(tmp_path / "model"))
    assert ignored_in(folder) == ignored
    tell_ignored(options(folder, folder / "absent"))
    told = capsys.readouterr().err
    if ignored:
        assert f"this is ignored: {', '.join(ignored)}" in told
    else:
        assert told == ""


def test_shards_that_the_index_names_are_no_part_of_what_is_ignored(tmp_path: Path) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    shard(folder)
    (folder / "part-c.safetensors").touch()
    assert ignored_in(folder) == ("part-c.safetensors",)
