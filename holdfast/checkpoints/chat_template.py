"""The chat template by which a folder's conversations are rendered, wherever in the folder it lies.

Two readers choose it, each in an order that is the library's (transformers 5.19):

    tokenizer   additional_chat_templates/default.jinja, chat_template.jinja, tokenizer_config.json
    processor   processor_config.json, chat_template.json, chat_template.jinja,
                additional_chat_templates/default.jinja

Engines here and text models anywhere go by the tokenizer; vLLM asks a processor first, where a
model has one. What is judged has to be what is served, so a folder that the two would render by
different texts is refused, and so is one of which the library could take none.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path, PurePosixPath
from typing import Any

from holdfast.checkpoints.admission import AdmittedFile, AdmittedFolder
from holdfast.checkpoints.json_files import MAX_JSON_BYTES, abridged, strict_json
from holdfast.checkpoints.listing import printable
from holdfast.checkpoints.model_files import PLAIN_NAME, TEMPLATE_FOLDER, is_named_template
from holdfast.errors import CheckpointRefused
from holdfast.plain_files import read_plain

KEY = "chat_template"
JINJA = "chat_template.jinja"
CONFIG = "tokenizer_config.json"
SPECIAL_TOKENS = "special_tokens_map.json"
PROCESSOR = "processor_config.json"
OLD_PROCESSOR = "chat_template.json"
PLACES = (JINJA, CONFIG, SPECIAL_TOKENS, PROCESSOR, OLD_PROCESSOR)

Files = Mapping[str, Any]  # by path: the text of a .jinja, the content of a .json


def chat_template(path: Path) -> str | None:
    """The chat template that a tokenizer in this folder would use, or None if it has none."""
    named = sorted((path / TEMPLATE_FOLDER).glob("*.jinja"))
    files = [file for file in (*(path / name for name in PLACES), *named) if file.is_file()]
    contents = {file.relative_to(path).as_posix(): _read(file) for file in files}
    return _template_of(contents, f"{path}/")


def template_in(folder: AdmittedFolder) -> str | None:
    """The chat template in a folder's admitted files, or None if it has none."""
    places = [
        file for name, file in folder.files.items() if name in PLACES or is_named_template(name)
    ]
    return _template_of({file.path: _admitted(file) for file in places}, "")


def check_template(folder: AdmittedFolder) -> Iterator[str]:
    """A sentence about a chat template that cannot be told."""
    try:
        template_in(folder)
    except CheckpointRefused as error:
        yield str(error)


def template_digest(template: str | None) -> str:
    """64 hex digits of a template; no template counts as no bytes."""
    return hashlib.sha256((template or "").encode(errors="surrogatepass")).hexdigest()


def _read(file: Path) -> Any:
    raw = read_plain(file, MAX_JSON_BYTES, CheckpointRefused)
    is_text = file.name.endswith(".jinja")
    return _text(raw, str(file)) if is_text else strict_json(raw, str(file))


def _admitted(file: AdmittedFile) -> Any:
    if file.text is None:
        return file.content
    if not PLAIN_NAME.fullmatch(PurePosixPath(file.path).name):
        raise CheckpointRefused(
            f"{printable(file.path)}: a chat template's file is called by letters, digits and "
            "._- alone; rename it"
        )
    return _text(file.text, file.path)


def _text(raw: bytes, place: str) -> str:
    """The text of a file as the library reads it: every end of a line becomes a newline."""
    try:
        return TextIOWrapper(BytesIO(raw), encoding="utf-8").read()
    except UnicodeDecodeError as error:
        raise CheckpointRefused(f"{place} is not UTF-8; save the tokenizer again") from error


def _template_of(files: Files, folder: str) -> str | None:
    """The template by all places; `folder` is what stands before their names in a message."""
    named = _named_files(files, folder)
    template = _tokenizer_template(files, named, folder)
    place, processor = _processor_template(files, named, folder)
    if processor is not None and processor != template:
        raise CheckpointRefused(
            f"{folder}{place} holds a chat template that processors and vLLM take and the "
            f"tokenizer does not, so which one is served cannot be told; put it into {JINJA} and "
            "remove it from all other places"
        )
    return template


def _named_files(files: Files, folder: str) -> dict[str, str]:
    """The additional templates by name."""
    named = {
        PurePosixPath(path).name.removesuffix(".jinja"): text
        for path, text in files.items()
        if is_named_template(path)
    }
    if "file" in named:  # its key among transformers' files is that of chat_template.jinja
        raise CheckpointRefused(
            f"{folder}{TEMPLATE_FOLDER}/file.jinja: transformers takes a template of this name for "
            f"{JINJA}; rename it"
        )
    return named


def _tokenizer_template(files: Files, named: Mapping[str, str], folder: str) -> str | None:
    if KEY in _object(files, SPECIAL_TOKENS, folder):
        raise CheckpointRefused(
            f"{folder}{SPECIAL_TOKENS}: key {KEY!r} would replace the checkpoint's own template; "
            f"put the one to serve into {JINJA} and remove the key"
        )
    config = _object(files, CONFIG, folder)
    if named:
        default = {"default": files[JINJA]} if JINJA in files else {}
        return _default({**default, **named}, f"{folder}{TEMPLATE_FOLDER}")
    match files.get(JINJA, config.get(KEY)):
        case None | str() as template:
            return template
        case [*entries]:
            place = f"{folder}{CONFIG}"
            return _default(_named_entries(entries, place), place)
    raise CheckpointRefused(f"{folder}{CONFIG}: {KEY} is no text; save the tokenizer again")


def _named_entries(entries: Sequence[Any], place: str) -> dict[str, str]:
    """The templates of a list by name."""
    named: dict[str, str] = {}
    for entry in entries:
        match entry:
            case {"name": str(name), "template": str(text), **others} if not others:
                if name in named:
                    raise CheckpointRefused(
                        f"{place}: two chat templates are named {abridged(name)}; keep one of them"
                    )
                named[name] = text
            case _:
                raise CheckpointRefused(
                    f"{place}: {abridged(entry)} is in the list of chat templates, expected a name "
                    "and a template; save the tokenizer again"
                )
    return named


def _default(named: Mapping[str, str], place: str) -> str:
    """The template that is used unasked; the library looks into no other place for one."""
    template = named.get("default")
    if template is None:
        raise CheckpointRefused(
            f"{place}: a list of chat templates without one named 'default'; name the one to use, "
            f"or put it into {JINJA}"
        )
    if template in named:  # the library would look such a text up among the names
        raise CheckpointRefused(
            f"{place}: the text of the default chat template is the name of one, "
            f"{abridged(template)}; put the template to use into {JINJA}"
        )
    return template


def _processor_template(
    files: Files, named: Mapping[str, str], folder: str
) -> tuple[str, str | None]:
    """The place and text of a processor's template; no text where it has none.

    The text of a processor's config counts even if it is empty, any other does not.
    """
    if OLD_PROCESSOR in files and named:
        raise CheckpointRefused(
            f"{folder}{OLD_PROCESSOR} lies beside {TEMPLATE_FOLDER}, and no processor loads both; "
            f"put the template to use into {JINJA} and remove {OLD_PROCESSOR}"
        )
    if (text := _processor_text(files, PROCESSOR, folder)) is not None:
        return PROCESSOR, text
    if OLD_PROCESSOR in files:
        return OLD_PROCESSOR, _processor_text(files, OLD_PROCESSOR, folder) or None
    return JINJA, files.get(JINJA, named.get("default")) or None


def _processor_text(files: Files, name: str, folder: str) -> str | None:
    match _object(files, name, folder).get(KEY):
        case None | str() as text:
            return text
    raise CheckpointRefused(f"{folder}{name}: {KEY} is no text; save the processor again")


def _object(files: Files, name: str, folder: str) -> Mapping[str, Any]:
    """A file's JSON object; an empty one where there is no such file."""
    content = files.get(name, {})
    if not isinstance(content, dict):
        raise CheckpointRefused(f"{folder}{name}: not a JSON object; save it again")
    return content
