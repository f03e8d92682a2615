"""Task files, suites, evidence, policies, labels and texts that no reader may take or wait for."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

from tests.support.hostile_checkpoints import Change, fifo, link, put, sparse

NAME = "given.jsonl"
ROW = {"prompt": "What is 2 + 2?", "completion": "4"}


def row(**changes: object) -> Change:
    """A file of one row, with other values."""
    return put(NAME, json.dumps(ROW | changes))


def packed(piece: bytes, times: int) -> Change:
    """A gzip file that unpacks to this piece, over and over."""

    def change(folder: Path) -> None:
        with gzip.open(folder / NAME, "wb", compresslevel=1) as file:
            for _ in range(times):
                file.write(piece)

    return change


ANY: dict[str, tuple[Change, str]] = {  # of every kind of file
    "a pipe": (fifo(NAME), "not a plain file"),
    "a device": (link(NAME, "/dev/zero"), ""),
    "a folder": (lambda folder: (folder / NAME).mkdir(), "cannot be read"),
    "brackets without an end": (put(NAME, b"[" * 1_000_000), ""),
    "bytes that are no text": (put(NAME, b"\xff\xfe\x00" * 1_000), ""),
    "a number of 5,000 digits": (put(NAME, b'{"a":%s}' % (b"9" * 5_000)), ""),
    "nothing": (put(NAME, b""), ""),
}

TASKS: dict[str, tuple[Change, str]] = {
    "elsewhere": (link(NAME, "../outside/secret.json"), "outside the allowed roots"),
    "in a circle": (link(NAME, NAME), "circle"),
    "a terabyte": (sparse(NAME, 1 << 40), "no whole JSON object"),
    "a line of ten megabytes": (put(NAME, b'{"prompt":"' + b"a" * 10_000_000), "no whole JSON"),
    "an array of lists": (put(NAME, b"[" + b"[]," * 10_000_000), "a list, expected an object"),
    "an array in one row": (
        put(NAME, b'[{"a":[' + b"[]," * 5_000_000 + b"1]}]"),
        "no whole JSON object",
    ),
    "an array without an end": (put(NAME, b"[" + b"{" * 3_000_000), "no whole JSON"),
    "white space without an end": (put(NAME, b"[" + b" " * 10_000_000), "no whole JSON object"),
    "packed zeros": (packed(bytes(1 << 20), 200), "no whole JSON object"),
    "packed blank lines": (packed(b"\n" * (1 << 20), 20), "more than 10000000 lines"),
    "packed and cut": (put(NAME, gzip.compress(b"{}")[:-6]), "no whole gzip file"),
    "a role of a list": (
        row(prompt=[{"role": ["user"], "content": "a"}]),
        "its role is ['user']",
    ),
    "a role of megabytes": (row(prompt=[{"role": "x" * 2_000_000, "content": "a"}]), "its role is"),
    "keys of megabytes": (put(NAME, json.dumps({"x" * 2_000_000: 1})), "its keys are"),
    "a prompt of a number": (row(prompt=3), "its prompt is a int"),
    "turns of numbers": (row(prompt=[1, 2]), "expected role and content"),
    "parts of numbers": (row(prompt=[{"role": "user", "content": [1]}]), "expected text"),
}
SUITES: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "at most 100000000 are read"),
    "keys of megabytes": (put(NAME, json.dumps({"x" * 2_000_000: 1})), "found the keys"),
}
PUBLISHED: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "bytes"),
}
EVIDENCE: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "at most 100000000 are read"),
    "a kind of megabytes": (put(NAME, json.dumps({"kind": "x" * 2_000_000})), "found kind"),
}
POLICIES: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "at most 1048576 are"),
    "an alias of aliases": (put(NAME, "a: &a [1]\nb: &b [*a, *a]\nc: [*b, *b]"), "alias"),
    "a Python object": (put(NAME, "!!python/object/apply:pathlib.Path.touch [ran]"), "not a YAML"),
}
LABELS: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "at most 100000000 are read"),
    "a label of megabytes": (
        put(NAME, json.dumps(ROW | {"label": "x" * 2_000_000})),
        "label is",
    ),
}
TEXTS: dict[str, tuple[Change, str]] = {
    "a terabyte": (sparse(NAME, 1 << 40), "at most 33554432 are"),
    "a number": (put(NAME, b"3"), "expected a JSON array"),
}

Kind = Callable[[Path], object]
