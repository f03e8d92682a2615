"""Folders, adapters and sources that admission has to refuse, each with words of its sentence.

Tame ones: what costs too much, breaks a reader or names a place it should not, as our own guard
refuses it. A builder changes a folder that is otherwise sound.
"""

import json
import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.checkpoint_files import CONFIG, HEADER, safetensors, shard, tensor

Change = Callable[[Path], object]

WEIGHTS = "model.safetensors"
RANK_OF_MANY = {"dtype": "F32", "shape": [1] * 17, "data_offsets": [0, 4]}


class Marks:
    """Unpickled, it leaves a file behind: nothing may ever unpickle it."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.place,)


def put(name: str, content: bytes | str) -> Change:
    """Write a file."""
    raw = content.encode() if isinstance(content, str) else content
    return lambda folder: (folder / name).write_bytes(raw)


def sparse(name: str, size: int, start: bytes = b"") -> Change:
    """A file that takes no room on its disk and says that it has so many bytes."""

    def change(folder: Path) -> None:
        with (folder / name).open("wb") as file:
            file.write(start)
            file.truncate(size)

    return change


def fifo(name: str) -> Change:
    """A pipe that nobody writes to."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def link(name: str, target: str) -> Change:
    """A link; `{outside}` is a folder beside the roots."""

    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).symlink_to(target.format(outside=folder.parents[1] / "outside"))

    return change


def header(raw: bytes) -> Change:
    """Weights with this header."""
    return put(WEIGHTS, safetensors(raw))


def shape(sizes: str) -> Change:
    """Weights whose one tensor has these sizes."""
    return header(b'{"a":{"dtype":"F4","shape":[%s],"data_offsets":[0,0]}}' % sizes.encode())


def many(entry: bytes, count: int) -> bytes:
    """A header of so many entries, each under a name of its own."""
    return b"{" + b",".join(b'"%x":%s' % (number, entry) for number in range(count)) + b"}"


def config(**changes: Any) -> Change:
    """Other values in config.json."""
    return put("config.json", json.dumps(CONFIG | changes))


def index(weight_map: Any) -> Change:
    """Shards, with an index that says this of them."""

    def change(folder: Path) -> None:
        shard(folder)
        text = json.dumps({"weight_map": weight_map})
        (folder / "model.safetensors.index.json").write_text(text)

    return change


def pickled(folder: Path) -> None:
    """Only a pickle, which leaves a mark if it is loaded."""
    (folder / WEIGHTS).unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps(Marks(folder / "ran")))


def circle(folder: Path) -> None:
    """Two links that lead to each other."""
    (folder / "vocab.txt").symlink_to("merges.txt")
    (folder / "merges.txt").symlink_to("vocab.txt")


def names(count: int) -> Change:
    """So many empty files that no loader asks for."""

    def change(folder: Path) -> None:
        for number in range(count):
            (folder / f"{number}.log").touch()

    return change


EMPTY = b'{"dtype":"F4","shape":[],"data_offsets":[0,0]}'
CODE = "from pathlib import Path; (Path(__file__).parent / 'ran').touch()"

FOLDERS: dict[str, tuple[Change, str]] = {
    # headers
    "a shape of two megabytes": (shape(",".join(["999999999999999999"] * 100_000)), "16 at most"),
    "460 bytes of dimensions": (shape(",".join(["99999999999999999"] * 15)), "more than any model"),
    "a dimension of 4,000 digits": (shape("9" * 4_000), "more than 18 digits"),
    "a float of many digits": (shape("0." + "9" * 1_000_000), "more than 18 digits"),
    "dimensions beside a zero": (shape("0,1000000000000,1000000000000"), "more than any model"),
    "17 dimensions": (put(WEIGHTS, safetensors({"a": RANK_OF_MANY}, bytes(4))), "16 at most"),
    "a negative dimension": (put(WEIGHTS, tensor(shape=[-2, -1])), "not a list of sizes"),
    "a dimension in words": (put(WEIGHTS, tensor(shape=["2"])), "not a list of sizes"),
    "a dimension with a point": (put(WEIGHTS, tensor(shape=[2.0, 1])), "not a list of sizes"),
    "a shape that is a number": (put(WEIGHTS, tensor(shape=2)), "not a list of sizes"),
    "lists in a shape": (put(WEIGHTS, tensor(shape=[[2]])), "or lists in lists"),
    "a header of brackets": (header(b"[" * 10_000_000), "lists in lists"),
    "a header of objects": (header(b'{"a":' * 1_000_000), "entries"),
    "too many tensors": (header(many(EMPTY, 100_002)), "at most 100000 tensors"),
    "too many keys": (header(many(b"1", 500_000)), "500000 keys"),
    "lists for tensors": (header(many(b"[]", 300_000)), "exactly dtype"),
    "a name of ten megabytes": (header(b'{"%s":%s}' % (b"a" * 10_000_000, EMPTY)), "500"),
    "a key twice, of ten megabytes": (
        header(b'{"%b":1,"%b":1}' % (b"a" * 5_000_000, b"a" * 5_000_000)),
        "stands twice",
    ),
    "a dtype of megabytes": (
        header(b'{"a":{"dtype":[%s1],"shape":[1],"data_offsets":[0,0]}}' % (b'"ab",' * 1_000_000)),
        "not one of safetensors' own",
    ),
    "offsets of many numbers": (
        header(b'{"a":{"dtype":"F4","shape":[1],"data_offsets":[%s1]}}' % (b"0," * 2_000_000)),
        "not two byte positions",
    ),
    "a header longer than any": (
        sparse(WEIGHTS, 1 << 40, (1 << 30).to_bytes(8, "little")),
        "claims",
    ),
    "a header longer than the file": (put(WEIGHTS, safetensors(length=1 << 62)), "claims a header"),
    "no header in a terabyte": (sparse(WEIGHTS, 1 << 40), "claims a header of 0"),
    "data of a terabyte": (sparse(WEIGHTS, 1 << 40, safetensors()), "has something appended"),
    "metadata that is no text": (header(b'{"__metadata__":{"a":[]}}'), "no texts by name"),
    "metadata that is a number": (header(b'{"__metadata__":3}'), "no texts by name"),
    "a header that is not UTF-8": (header(b'{"\xff":1}'), "not JSON"),
    "a header that is a text": (header(b'"' + b"a" * 1_000_000 + b'"'), "not a JSON object"),
    "tensors over each other": (
        put(WEIGHTS, safetensors({**HEADER, "c": HEADER["a"]}, bytes(14))),
        "overlaps",
    ),
    # JSON
    "escapes without an end": (put("vocab.json", b'"' + b'\\"' * 15_000_000), "not JSON"),
    "escapes and a backslash": (put("vocab.json", b'"' + b'\\"' * 15_000_000 + b"\\"), "not JSON"),
    "lists by the million": (put("tokenizer.json", b"[" + b"[]," * 20_000_000 + b"1]"), "values"),
    "objects by the million": (put("vocab.json", b"[" + b"{}," * 8_000_000 + b"1]"), "values"),
    "brackets without an end": (put("config.json", b"[" * 30_000_000), "nested deeper than 64"),
    "a number of 30 megabytes": (put("vocab.json", b"9" * 30_000_000), "more than 100 digits"),
    "a point and many digits": (put("vocab.json", b"0." + b"9" * 30_000_000), "100 digits"),
    "a config of a gigabyte": (sparse("config.json", 1 << 30), "at most"),
    "a key twice": (put("special_tokens_map.json", b'{"a":1,"a":2}'), "stands twice"),
    "an index of numbers": (index({"a": 3, "b": [4]}), "expected the name of a .safetensors"),
    "an index that leads out": (index({"a": "../../secret.safetensors"}), "expected the name"),
    "an index of a megabyte's name": (index({"a" * 1_000_000: "b.bin"}), "expected the name"),
    "an index that is a list": (index([1]), "no weight_map"),
    "an index of missing files": (
        index({f"{n}": f"{n}.safetensors" for n in range(50_000)}),
        "and 49997 more",
    ),
    # files that are read whole, and kinds of files
    "a template of three gigabytes": (sparse("chat_template.jinja", 3 << 30), "at most"),
    "a template of two megabytes": (
        put("chat_template.jinja", b" " * 2_000_000),
        "at most 1000000",
    ),
    "a tokenizer.model of a gigabyte": (sparse("tokenizer.model", 1 << 30), "at most"),
    "merges of 100 megabytes": (sparse("merges.txt", 100_000_000), "at most 64000000"),
    "a vocabulary of a terabyte": (sparse("vocab.txt", 1 << 40), "at most"),
    "notes of a terabyte": (sparse("notes.txt", 1 << 40), "at most 4000000000"),
    "many vocabularies": (
        lambda folder: [sparse(f"vocab-{n}.json", 31_000_000)(folder) for n in range(20)],
        "at most 200000000",
    ),
    "a template that is a pipe": (fifo("chat_template.jinja"), "not a plain file"),
    "a config that is a pipe": (fifo("config.json"), "not a plain file"),
    "weights that are a pipe": (fifo(WEIGHTS), "not a plain file"),
    "a template that is a device": (link("chat_template.jinja", "/dev/zero"), "leads out"),
    "a config that is elsewhere": (link("config.json", "{outside}/secret.json"), "leads out"),
    "weights that are elsewhere": (link(WEIGHTS, "{outside}/secret.json"), "leads out"),
    "a template that is elsewhere": (
        link("chat_template.jinja", "../../outside/secret.json"),
        "out",
    ),
    "links in a circle": (circle, "circle"),
    "a link to itself": (link("vocab.txt", "vocab.txt"), "circle"),
    "a link to nothing": (link("merges.txt", "nowhere"), "is a link to nothing"),
    "a pickle": (pickled, "a pickle can run code"),
    "30,000 names": (names(30_000), "more than 20000 names"),
    # configs
    "a width in words": (config(hidden_size="x"), "hidden_size is 'x'"),
    "a width of a list of words": (config(hidden_size=["x"]), "hidden_size is ['x']"),
    "a width of 10^30": (config(hidden_size=10**30), "whole number up to"),
    "a width of a truth": (config(hidden_size=True), "hidden_size is True"),
    "layers of minus two": (config(num_hidden_layers=-2), "num_hidden_layers is -2"),
    "a million layers": (config(num_hidden_layers=1_000_000), "whole number up to 10000"),
    "a vocabulary of 10^12": (config(vocab_size=10**12), "vocab_size is"),
    "a billion labels": (config(num_labels=10**9), "num_labels is"),
    "heads as an object": (config(num_attention_heads={"a": "b"}), "num_attention_heads is"),
    "positions without end": (config(max_position_embeddings=10**15), "max_position_embeddings"),
    "predictions without end": (config(num_nextn_predict_layers=10**10), "num_nextn"),
    "a window in words": (config(sliding_window="x"), "sliding_window is 'x'"),
    "half a head": (config(head_dim=0.5), "head_dim is 0.5"),
    "a width deep inside": (config(text_config={"a": [{"hidden_size": "x"}]}), "hidden_size is"),
    "a text model in words": (config(text_config="x"), "text_config is 'x', expected an object"),
    "attention of a repository": (config(attn_implementation="owner/repo"), "names code"),
    "attention of a version": (config(_attn_implementation="owner/repo@v1:f"), "names code"),
    "attention of a part": (config(attn_implementation={"": "sdpa", "t": "a/b"}), "names code"),
    "attention of a name": (config(_attn_implementation_internal="mine"), "names code"),
    "attention deep inside": (config(text_config={"attn_implementation": "a/b"}), "names code"),
    "experts of a repository": (config(experts_implementation="owner/repo"), "names code"),
    "a kernel of a repository": (config(kernel_config={"MLP": "owner/repo:MLP"}), "no code of a"),
    "a model type of megabytes": (config(model_type="a" * 5_000_000), "model_type is"),
    "a model type of a list": (config(model_type=["llama"]), "model_type is"),
    "code for an unknown type": (
        lambda folder: [
            put("modeling.py", CODE)(folder),
            config(model_type="own", auto_map={"AutoModel": "modeling.M"})(folder),
        ],
        "asks the loader to run code",
    ),
}

ADAPTER_CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4}

ADAPTERS: dict[str, tuple[Change, str]] = {
    name: (put("adapter_config.json", json.dumps(ADAPTER_CONFIG | changes)), words)
    for name, changes, words in (
        ("a hexadecimal alpha", {"lora_alpha": "0x10"}, "lora_alpha '0x10'"),
        ("an alpha of 99 digits", {"lora_alpha": 10**98}, "a number of at most"),
        ("an alpha of 1e300", {"lora_alpha": 1e300}, "a number of at most"),
        ("an alpha that is none", {"lora_alpha": float("nan")}, "lora_alpha nan"),
        ("an alpha without end", {"lora_alpha": float("inf")}, "lora_alpha inf"),
        ("an alpha of a truth", {"lora_alpha": True}, "lora_alpha True"),
        ("an alpha of megabytes", {"lora_alpha": "9" * 2_000_000}, "a number of at most"),
        ("a rank in words", {"r": "8"}, "r is '8'"),
        ("a rank with a point", {"r": 2.0}, "r is 2.0"),
        ("a rank of 99 digits", {"r": 10**98}, "expected a rank of 1 to"),
        ("a rank of zero", {"r": 0}, "expected a rank of 1 to"),
        ("a rank of a list", {"r": [2]}, "r is [2]"),
        ("a scale in words", {"use_rslora": "false"}, "use_rslora is 'false'"),
        ("a key of megabytes", {"x" * 2_000_000: 1}, "is set (1)"),
        ("a value of megabytes", {"use_dora": "x" * 2_000_000}, "use_dora is set"),
        ("a start of megabytes", {"init_lora_weights": "x" * 2_000_000}, "init_lora_weights is"),
        ("code of its own", {"auto_map": {"AutoModel": "m.M"}}, "asks the loader to run code"),
    )
} | {
    "an alpha of 5,000 digits": (
        put("adapter_config.json", '{"peft_type":"LORA","r":2,"lora_alpha":%s}' % ("9" * 5_000)),
        "more than 100 digits",
    ),
    "a config that is a pipe": (fifo("adapter_config.json"), "not a plain file"),
    "factors that are a pipe": (fifo("adapter_model.safetensors"), "not a plain file"),
    "factors that are elsewhere": (
        link("adapter_model.safetensors", "{outside}/secret.json"),
        "leads out",
    ),
    "factors of endless shape": (
        put("adapter_model.safetensors", safetensors(b'{"a":{"dtype":"F4","shape":[%s],'
            b'"data_offsets":[0,0]}}' % b",".join([b"99999999999999999"] * 15))),
        "more than any model",
    ),
}  # fmt: skip

SOURCES: dict[str, str] = {
    "http://[": "is no URI",
    "file://[": "is no URI",
    "https://[" + "a" * 1_000_000: "is no URI",
    "file://": "another host",
    "file://elsewhere/model": "another host",
    "file:///": "outside the allowed roots",
    "file:///%00": "null byte",
    "\0": "null byte",
    "a" * 100_000: "longer than 4096 bytes",
    "/a" * 500_000: "longer than 4096 bytes",
    "\ud800": "not UTF-8",
    "..": "outside the allowed roots",
    "/proc/self/fd": "outside the allowed roots",
    "/dev/zero": "outside the allowed roots",
    "s3://bucket/" + "a" * 1_000_000: "not available in this version",
}
