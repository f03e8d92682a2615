"""A staged view holds exactly the files that make up a model, as they were hashed."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from transformers import PreTrainedTokenizerFast

from holdfast.checkpoints.chat_template import chat_template, template_digest
from holdfast.checkpoints.checkpoint import admitted_model, ref_of
from holdfast.checkpoints.view_paths import digest_of_view
from holdfast.errors import CheckpointRefused
from tests.support.checkpoint_files import CONFIG, safetensors, shard, sound_checkpoint
from tests.support.folder_layouts import JUDGED, Build
from tests.support.template_layouts import RENDERED, Layout, save_tokenizer, write_layout
from workers.views import StagedCheckpoint, Views, clone_file, copy_file

OTHER = safetensors(data=bytes(range(14)))


@pytest.fixture
def views(tmp_path: Path) -> Iterator[Views]:
    views = Views(tmp_path / "home")
    yield views
    views.close()


def staged(views: Views, folder: Path) -> StagedCheckpoint:
    with ExitStack() as descriptors:
        found = admitted_model(str(folder), [folder.parent, folder.parents[2]], descriptors)
        return views.stage(ref_of(found), found)


def contents(folder: Path) -> dict[str, bytes]:
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("build", [row[1] for row in JUDGED], ids=[row[0] for row in JUDGED])
def test_every_layout_of_a_checkpoint_has_the_same_view(
    build: Build, views: Views, tmp_path: Path
) -> None:
    clean = sound_checkpoint(tmp_path / "clean")
    view = staged(views, build(sound_checkpoint(tmp_path / "model")))
    assert contents(view.path) == contents(clean)
    assert digest_of_view(view.path) == view.digest == staged(views, clean).digest


def test_what_counts_but_is_never_loaded_is_in_no_view(views: Views, tmp_path: Path) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    shard(folder)
    more = ("additional_chat_templates/rag.jinja", "chat_template.jinja")
    for name in ("README.md", "trainer_state.json", "1_Pooling/config.json", *more):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text("{}")
    view = staged(views, folder)
    assert set(contents(view.path)) == {
        *("LICENSE", "config.json", "tokenizer_config.json", "model.safetensors.index.json"),
        *("part-a.safetensors", "part-b.safetensors", *more),
    }
    assert len(view.ref.files) == len(contents(folder))


@pytest.mark.parametrize(
    ("layout", "text"), [row[1:] for row in RENDERED], ids=[row[0] for row in RENDERED]
)
def test_a_tokenizer_of_the_view_renders_by_the_template_that_was_admitted(
    layout: Layout, text: str | None, views: Views, tmp_path: Path
) -> None:
    folder = save_tokenizer(sound_checkpoint(tmp_path / "model"))
    view = staged(views, write_layout(folder, layout))
    tokenizer = PreTrainedTokenizerFast.from_pretrained(view.path, local_files_only=True)
    rendered_by = None if tokenizer.chat_template is None else tokenizer.get_chat_template()
    assert rendered_by == chat_template(view.path) == text
    assert view.ref.template_sha256 == template_digest(text)


def test_no_loader_is_shown_code_that_a_built_in_model_does_not_need(
    views: Views, tmp_path: Path
) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    (folder / "config.json").write_text(json.dumps(CONFIG | {"auto_map": {"AutoModel": "m.M"}}))
    view = staged(views, folder)
    assert json.loads((view.path / "config.json").read_text()) == CONFIG
    assert view.ref.ignored == ("auto_map in config.json",)


def open_files() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def replace(weights: Path) -> None:
    new = weights.with_suffix(".new")
    new.write_bytes(OTHER)
    new.rename(weights)


HARMLESS: list[tuple[str, Callable[[Path], object]]] = [
    ("renamed", lambda weights: weights.rename(weights.with_suffix(".old"))),
    ("unlinked", lambda weights: weights.unlink()),
    ("replaced", replace),
    ("the folder is gone", lambda weights: shutil.rmtree(weights.parent)),
    ("other rights", lambda weights: weights.chmod(0o600)),
    ("other times", lambda weights: os.utime(weights, (1, 1))),
    ("the same again", lambda weights: weights.write_bytes(weights.read_bytes())),
]


@pytest.mark.parametrize("happens", [row[1] for row in HARMLESS], ids=[row[0] for row in HARMLESS])
def test_what_was_hashed_is_read_whatever_becomes_of_its_name(
    happens: Callable[[Path], object], views: Views, tmp_path: Path
) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    before = contents(folder)
    view = staged(views, folder)
    assert view.view.untouched()
    happens(folder / "model.safetensors")
    assert contents(view.path) == before
    assert not view.view.untouched(), "who loaded it meanwhile is to load it again"
    assert view.view.untouched()


def copy_over(weights: Path) -> None:
    """As `cp -a` does: the same inode, size and mtime."""
    before = weights.stat()
    weights.write_bytes(OTHER)
    os.utime(weights, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert weights.stat().st_ino == before.st_ino


@pytest.mark.parametrize("happens", [lambda weights: weights.write_bytes(OTHER), copy_over])
def test_a_file_that_is_written_over_is_noticed(
    happens: Callable[[Path], object], views: Views, tmp_path: Path
) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    view = staged(views, folder)
    happens(folder / "model.safetensors")
    for _ in range(2):  # and not forgotten once it was said
        with pytest.raises(CheckpointRefused, match=r"model\.safetensors was written over while"):
            view.view.untouched()


def test_what_was_written_over_is_staged_anew_from_a_folder_that_is_sound(
    views: Views, tmp_path: Path
) -> None:
    folders = [sound_checkpoint(tmp_path / name) for name in ("model", "copy")]
    broken = staged(views, folders[0])
    copy_over(folders[0] / "model.safetensors")
    with pytest.raises(CheckpointRefused, match="written over"):
        broken.view.untouched()
    sound = staged(views, folders[1])
    assert sound.digest == broken.digest
    assert contents(sound.path) == contents(folders[1])
    assert sound.view.untouched()


def test_a_file_that_changes_between_hash_and_staging_is_refused(
    views: Views, tmp_path: Path
) -> None:
    for name in ("config.json", "model.safetensors"):
        folder = sound_checkpoint(tmp_path / name)
        with ExitStack() as descriptors:
            found = admitted_model(str(folder), [tmp_path], descriptors)
            (folder / name).write_bytes(OTHER)
            with pytest.raises(CheckpointRefused, match=name):
                views.stage(ref_of(found), found)


def test_the_view_of_a_digest_is_one_and_is_staged_anew_when_its_files_were_written_over(
    views: Views, tmp_path: Path
) -> None:
    first, second = (sound_checkpoint(tmp_path / name) for name in ("first", "second"))
    view = staged(views, first)
    held = (view.path / "model.safetensors").stat().st_ino
    assert staged(views, second).view is view.view
    assert (view.path / "model.safetensors").stat().st_ino == held
    copy_over(first / "model.safetensors")
    assert staged(views, second).path == view.path
    assert contents(view.path) == contents(second)


def test_a_warm_engine_keeps_its_view_and_all_others_go(views: Views, tmp_path: Path) -> None:
    folder, other = sound_checkpoint(tmp_path / "model"), sound_checkpoint(tmp_path / "other")
    (other / "LICENSE").write_text("MIT")
    kept, closed = staged(views, folder), staged(views, other)
    descriptors = open_files()
    views.close_unused(kept.path)
    assert kept.path.is_dir()
    assert not closed.path.exists()
    assert open_files() < descriptors
    views.close()
    assert list((tmp_path / "home" / "views").iterdir()) == []


CHILD = """
import sys, time
from pathlib import Path
from contextlib import ExitStack
from holdfast.checkpoints.checkpoint import admitted_model, ref_of
from workers.views import Views
with ExitStack() as descriptors:
    found = admitted_model(sys.argv[1], [Path(sys.argv[1]).parent], descriptors)
    views = Views(Path(sys.argv[2]))
    print(views.stage(ref_of(found), found).path, flush=True)
    time.sleep(120)
"""


def test_another_process_reads_it_and_what_a_killed_one_left_is_swept(
    views: Views, tmp_path: Path
) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    command = [sys.executable, "-c", CHILD, str(folder), str(tmp_path / "home")]
    child = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        assert child.stdout is not None
        path = Path(child.stdout.readline().strip())
        assert contents(path) == contents(folder)
        own = staged(views, folder)
        assert own.path.name == path.name
        assert path.is_dir(), "its worker is alive"
    finally:
        child.kill()
        child.communicate()
    another = Views(tmp_path / "home")
    staged(another, folder)
    assert not path.parent.exists()
    assert contents(own.path) == contents(folder)
    another.close()


def test_where_neither_clones_nor_links_work_it_is_a_copy(tmp_path: Path) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    with ExitStack() as descriptors:
        found = admitted_model(str(folder), [tmp_path], descriptors)
        file = found.files["model.safetensors"]
        assert file.descriptor is not None
        copy_file(file, file.descriptor, tmp_path / "copy")
        assert (tmp_path / "copy").read_bytes() == (folder / "model.safetensors").read_bytes()
        if clone_file(file, file.descriptor, tmp_path / "clone"):
            assert (tmp_path / "clone").read_bytes() == (tmp_path / "copy").read_bytes()
        else:
            assert not (tmp_path / "clone").exists()
        copy_over(folder / "model.safetensors")
        assert (tmp_path / "copy").read_bytes() != OTHER
        with pytest.raises(CheckpointRefused, match="changed after it was hashed"):
            copy_file(file, file.descriptor, tmp_path / "another")
