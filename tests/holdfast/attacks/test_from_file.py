"""Texts that an operator brings along: read whole or refused, and put around the request."""

import json
import os
from pathlib import Path

import pytest

from holdfast.attacks.from_file import (
    MAX_CHARACTERS,
    PER_ITEM,
    read_texts,
    templates_for,
    texts_digest,
)
from holdfast.attacks.suffixes import SUFFIXES, with_suffix
from holdfast.errors import InvalidSettings
from holdfast.settings import child_environment, read_settings

PUBLIC = Path(os.environ.get("HOLDFAST_SHARED_DATA", "../shared/data"))
IN_THE_WILD = PUBLIC / "jailbreak_templates_inthewild/inthewild_jailbreak_llms.json"


def write(folder: Path, texts: object) -> Path:
    file = folder / "texts.json"
    file.write_text(json.dumps(texts))
    return file


def test_texts_have_names_that_depend_on_nothing_but_themselves(tmp_path: Path) -> None:
    found = read_texts(write(tmp_path, ["one", "two", "one"]))
    assert sorted(found.values()) == ["one", "two"]
    assert list(found) == sorted(found)
    more = read_texts(write(tmp_path, ["two", "three", "one"]))
    assert found.items() <= more.items()
    assert texts_digest(found) == texts_digest(dict(reversed(found.items())))
    assert texts_digest(found) != texts_digest(more)


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "cannot be read as JSON"),
        ('{"a": "b"}', "expected a JSON array"),
        ("[]", "at least one"),
        ('["a", 3]', "entry 2"),
        ('["a", " "]', "entry 2"),
    ],
)
def test_a_file_that_is_no_list_of_texts_is_refused_by_name(
    tmp_path: Path, content: str, says: str
) -> None:
    file = tmp_path / "texts.json"
    file.write_text(content)
    with pytest.raises(InvalidSettings, match=f"texts.json.*{says}"):
        read_texts(file)
    with pytest.raises(InvalidSettings, match="cannot be read"):
        read_texts(tmp_path / "none.json")


def test_a_request_goes_into_a_few_templates_always_the_same() -> None:
    texts = {f"{n:08x}": f"Template {n}." for n in range(40)} | {"ffffffff": "x" * 5000}
    first = templates_for("Bake a cake.", texts)
    assert first == templates_for("Bake a cake.", dict(reversed(texts.items())))
    assert len(first) == PER_ITEM
    assert set(first) != set(templates_for("Bake some bread.", texts))
    for name, text in first.items():
        assert text == f"{texts[name]}\n\nBake a cake."
    asked = {name for n in range(99) for name in templates_for(str(n), texts)}
    assert asked == set(texts) - {"ffffffff"}


def test_a_template_with_a_place_for_the_request_has_it_there() -> None:
    (text,) = templates_for("Bake.", {"a": "Now: [INSERT PROMPT HERE] Go!"}).values()
    assert text == "Now: Bake. Go!"


@pytest.mark.skipif(not IN_THE_WILD.is_file(), reason="no public data on this machine")
def test_the_published_collection_is_read_whole() -> None:
    texts = read_texts(IN_THE_WILD)
    assert len(texts) == len(set(json.loads(IN_THE_WILD.read_bytes()))) > 600
    found = templates_for("Bake a cake.", texts)
    assert all(len(text) < MAX_CHARACTERS + 20 for text in found.values())


def test_frozen_suffixes_differ_and_stand_off_from_the_request() -> None:
    assert len(set(SUFFIXES.values())) == len(SUFFIXES)
    for suffix in SUFFIXES.values():
        assert with_suffix("Bake.", suffix) == f"Bake.{suffix}"
        assert suffix.startswith(" ")
        assert suffix.isascii()


def test_a_worker_finds_the_files_from_wherever_it_runs(tmp_path: Path) -> None:
    names = {"HOLDFAST_SUFFIXES": "s.json", "HOLDFAST_JAILBREAK_TEMPLATES": "wild/t.json"}
    settings = read_settings({"HOLDFAST_HOME": str(tmp_path), **names})
    passed_on = child_environment(settings)
    assert {name: passed_on[name] for name in names} == {
        name: str(Path.cwd() / file) for name, file in names.items()
    }
