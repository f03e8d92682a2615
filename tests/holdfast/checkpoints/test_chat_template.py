"""The template that is judged is the one that the installed library renders by, or none is."""

import hashlib
import os
import re
import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
from transformers import AutoTokenizer, ProcessorMixin

from holdfast.checkpoints.admission import admit_folder
from holdfast.checkpoints.chat_template import chat_template, template_digest, template_in
from holdfast.checkpoints.checkpoint import admit, verify_unchanged
from holdfast.errors import CheckpointRefused
from tests.support.checkpoint_files import sound_checkpoint
from tests.support.template_layouts import (
    ERROR,
    JINJA,
    MORE,
    REFUSED,
    RENDERED,
    A,
    J,
    Layout,
    save_tokenizer,
    write_layout,
)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = save_tokenizer(sound_checkpoint(tmp_path / "model"))
    (folder / "config.json").write_text('{"model_type": "llama"}')
    return folder


def of_tokenizer(folder: Path) -> str | None:
    """The text by which the installed library renders an ordinary conversation."""
    tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    return None if tokenizer.chat_template is None else str(tokenizer.get_chat_template())


def of_processor(folder: Path) -> str | None:
    """The text that a processor of this folder has for the same."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # it leaves the templates' files open
        template = ProcessorMixin.get_processor_dict(folder)[0].get("chat_template")
    return template["default"] if isinstance(template, dict) else template


@pytest.mark.parametrize(
    ("layout", "text"), [row[1:] for row in RENDERED], ids=[row[0] for row in RENDERED]
)
def test_the_template_is_the_one_that_the_library_renders_by(
    layout: Layout, text: str | None, folder: Path, tmp_path: Path
) -> None:
    write_layout(folder, layout)
    assert of_tokenizer(folder) == text
    assert of_processor(folder) in {None, text}
    assert chat_template(folder) == text
    assert template_in(admit_folder(folder, [tmp_path])) == text
    expected = hashlib.sha256((text or "").encode()).hexdigest()
    assert admit(str(folder), [tmp_path]).template_sha256 == expected


@pytest.mark.parametrize(
    ("layout", "text", "words"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_folder_of_which_no_single_template_can_be_told_is_refused(
    layout: Layout, text: str | None, words: str, folder: Path, tmp_path: Path
) -> None:
    write_layout(folder, layout)
    if text is ERROR:
        with pytest.raises((ValueError, LookupError)):
            of_tokenizer(folder)
    else:
        assert of_tokenizer(folder) == text
    for refuse in (chat_template, lambda path: admit(str(path), [tmp_path])):
        with pytest.raises(CheckpointRefused, match=re.escape(words)):
            refuse(folder)


def linked_folder(folder: Path) -> None:
    write_layout(folder.parent, {f"elsewhere/{MORE}default.jinja": A})
    (folder / MORE).symlink_to(folder.parent / "elsewhere" / MORE)


def linked_to_nothing(folder: Path) -> None:
    (folder / MORE).mkdir()
    (folder / MORE / "default.jinja").symlink_to(folder.parent / "elsewhere.jinja")


def many_files(folder: Path) -> None:
    (folder / MORE).mkdir()
    for number in range(2_001):
        (folder / MORE / f"{number}.py").touch()
    (folder / MORE / "default.jinja").write_text(A)


def closed_folder(folder: Path) -> None:
    write_layout(folder, {f"{MORE}default.jinja": A})
    (folder / MORE).chmod(0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (linked_folder, "additional_chat_templates is not a plain file"),
        (linked_to_nothing, "additional_chat_templates/default.jinja is a link to nothing"),
        (many_files, "additional_chat_templates is not a plain file"),
        (closed_folder, "additional_chat_templates cannot be read"),
        (
            lambda folder: write_layout(folder, {f"{MORE}my own.jinja": A}),
            "additional_chat_templates/my own.jinja: a chat template's file is called by",
        ),
    ],
)
def test_no_template_that_a_loader_would_read_is_passed_over(
    change: Callable[[Path], object], words: str, folder: Path, tmp_path: Path
) -> None:
    write_layout(folder, {JINJA: J})
    change(folder)
    if change is closed_folder and os.access(folder / MORE, os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(CheckpointRefused, match=re.escape(words)):
        admit(str(folder), [tmp_path])


@pytest.mark.parametrize(
    "change",
    [linked_folder, lambda folder: write_layout(folder, {f"{MORE}default.jinja": A})],
)
def test_a_template_that_comes_after_admission_is_noticed(
    change: Callable[[Path], object], folder: Path, tmp_path: Path
) -> None:
    ref = admit(str(write_layout(folder, {JINJA: J})), [tmp_path])
    verify_unchanged(ref)
    change(folder)
    with pytest.raises(CheckpointRefused, match=r"changed after it was admitted \(additional_chat"):
        verify_unchanged(ref)


def test_no_template_has_the_digest_of_no_bytes() -> None:
    assert template_digest(None) == hashlib.sha256(b"").hexdigest()


def test_errors_about_a_folder_name_the_file_in_it(folder: Path) -> None:
    write_layout(folder, {f"{MORE}rag.jinja": b"\xff"})
    with pytest.raises(
        CheckpointRefused, match=re.escape(f"{folder}/{MORE}rag.jinja is not UTF-8")
    ):
        chat_template(folder)
