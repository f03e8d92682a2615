"""Folders as trainers, hubs and quantisers leave them, round a clean checkpoint.

`JUDGED` are those that are the clean checkpoint still, each with what is ignored in it; `REFUSED`
those of which no model can be told, each with the words that say so. What a file is called and
where it lies is what counts, so most of them are empty.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tests.support.checkpoint_files import safetensors

Build = Callable[[Path], Path]
"""Changes a clean checkpoint's folder; returns the folder to submit."""


def beside(*names: str) -> Build:
    """Empty files and, with a slash at the end, folders."""

    def build(folder: Path) -> Path:
        for name in names:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if name.endswith("/"):
                path.mkdir()
            else:
                path.touch()
        return folder

    return build


def hub_snapshot(folder: Path) -> Path:
    """The cache of huggingface_hub: every file a link to a blob that is named by its digest."""
    repository = folder.parent / "hub" / "models--owner--name"
    snapshot = repository / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    for file in sorted(folder.iterdir()):
        blob = repository / "blobs" / hashlib.sha256(file.read_bytes()).hexdigest()
        shutil.copyfile(file, blob)
        (snapshot / file.name).symlink_to(Path("../../blobs") / blob.name)
    return snapshot


def latest_link(folder: Path) -> Path:
    """What training scripts leave for whoever asks for the newest checkpoint."""
    (folder.parent / "latest").symlink_to(folder.name)
    return folder.parent / "latest"


def hard_links(folder: Path) -> Path:
    """As `cp -al` and deduplicating stores make them."""
    copy = folder.parent / "copy"
    copy.mkdir()
    for file in folder.iterdir():
        os.link(file, copy / file.name)
    return copy


def with_checkpoint(folder: Path) -> Path:
    """A Trainer's output folder: the final model, and a checkpoint of its own in it."""
    inner = folder / "checkpoint-500"
    shutil.copytree(folder, inner)
    beside("optimizer.pt", "scheduler.pt", "rng_state.pth", "trainer_state.json")(inner)
    (folder / "latest").symlink_to("checkpoint-500")
    beside("training_args.bin", "runs/Jan01/events.out.tfevents.1.host.1.0")(folder)
    return folder


def with_model_inside(folder: Path) -> Path:
    """A model in a subfolder, with nothing beside it that could not be one's own."""
    shutil.copytree(folder, folder / "final")
    return folder


TRAINER = (
    "optimizer.pt", "scheduler.pt", "rng_state_0.pth", "rng_state_1.pth", "training_args.bin",
    "events.out.tfevents.1700000000.host.1.0",
)  # fmt: skip
LOCAL_DIR = (
    ".cache/huggingface/.gitignore", ".cache/huggingface/download/config.json.metadata",
    ".cache/huggingface/download/model.safetensors.lock",
)  # fmt: skip
DEEPSPEED = (
    "global_step500/bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt",
    "global_step500/mp_rank_00_model_states.pt", "latest", "zero_to_fp32.py",
)  # fmt: skip
FSDP = ("pytorch_model_fsdp_0/.metadata", "pytorch_model_fsdp_0/__0_0.distcp", "optimizer_0/x.pt")
OTHER_FORMS = (
    "pytorch_model.bin", "consolidated.safetensors", "consolidated.00.pth", "model-q4_k_m.gguf",
    "tf_model.h5", "flax_model.msgpack", "model.fp16.safetensors",
)  # fmt: skip
LISTED = {  # folders, by what is said of them
    "original": ("original/consolidated.00.pth", "original/params.json"),
    "onnx": ("onnx/model.onnx", "onnx/config.json"),
    ".git": (".git/HEAD", ".git/config", ".gitignore"),
}

JUDGED: list[tuple[str, Build, tuple[str, ...]]] = [
    ("clean", beside(), ()),
    ("trainer", beside(*TRAINER), tuple(sorted(TRAINER))),
    (
        "trainer's output with a checkpoint in it",
        with_checkpoint,
        ("checkpoint-500/", "latest", "runs/", "training_args.bin"),
    ),
    ("model in a subfolder", with_model_inside, ("final/",)),
    ("local-dir download", beside(*LOCAL_DIR), (".cache/",)),
    ("hub snapshot", hub_snapshot, ()),
    ("latest link", latest_link, ()),
    ("hard links", hard_links, ()),
    ("deepspeed", beside(*DEEPSPEED), ("global_step500/", "latest", "zero_to_fp32.py")),
    ("fsdp", beside(*FSDP), ("optimizer_0/", "pytorch_model_fsdp_0/")),
    ("other forms", beside(*OTHER_FORMS), tuple(sorted(OTHER_FORMS))),
    ("original", beside(*LISTED["original"]), ("original/",)),
    ("onnx", beside(*LISTED["onnx"]), ("onnx/",)),
    ("git", beside(*LISTED[".git"]), (".git/", ".gitignore")),
    ("finder", beside(".DS_Store", "._config.json.swp"), (".DS_Store", "._config.json.swp")),
    ("code", beside("modeling_own.py", "handler.py"), ("handler.py", "modeling_own.py")),
    ("pictures", beside("assets/loss.png", "a b.txt"), ("a b.txt", "assets/")),
    ("pipes", lambda folder: (os.mkfifo(folder / "log.txt"), folder)[1], ("log.txt",)),
]


def only(*names: str) -> Build:
    """The same without its weights, and these files instead."""

    def build(folder: Path) -> Path:
        (folder / "model.safetensors").unlink()
        return beside(*names)(folder)

    return build


def index_beside(folder: Path) -> Path:
    """What saving over an older, larger checkpoint leaves: the index of that one."""
    for name in ("a", "b"):
        header = {name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}
        (folder / f"part-{name}.safetensors").write_bytes(safetensors(header, bytes(4)))
    (folder / "model.safetensors.index.json").write_text(
        '{"weight_map": {"a": "part-a.safetensors", "b": "part-b.safetensors"}}'
    )
    return folder


def half_written(folder: Path) -> Path:
    """The index is there, and one of the shards that it names is not."""
    index_beside(folder)
    (folder / "model.safetensors").unlink()
    (folder / "part-b.safetensors").unlink()
    return folder


def link_out(folder: Path) -> Path:
    """A file that really lies where nothing was allowed."""
    (folder / "LICENSE").unlink()
    (folder / "LICENSE").symlink_to("/etc/hostname")
    return folder


REFUSED: list[tuple[str, Build, str]] = [
    ("pickles", only("pytorch_model.bin", "training_args.bin"), "a pickle can run code; convert"),
    ("fsdp alone", only(*FSDP), "found pytorch_model_fsdp_0/: `accelerate merge-weights`"),
    ("deepspeed alone", only(*DEEPSPEED), "found global_step500/: `python zero_to_fp32.py"),
    ("gguf alone", only("model.gguf"), "found model.gguf: give the folder that it was made from"),
    ("consolidated alone", only("consolidated.safetensors"), "found consolidated.safetensors"),
    (
        "shards alone",
        only("model-00001-of-00002.safetensors"),
        "model.safetensors.index.json is missing, so it is still being written or incomplete",
    ),
    (
        "index beside",
        index_beside,
        "model.safetensors lies beside model.safetensors.index.json, which does not name it",
    ),
    (
        "half written",
        half_written,
        "names part-b.safetensors, which is missing, so the checkpoint is still being written",
    ),
    (
        "shards beside",
        beside("model-00002-of-00002.safetensors"),
        "model.safetensors lies beside model-00002-of-00002.safetensors",
    ),
    ("link out", link_out, "LICENSE is a symbolic link that leads out of the allowed roots"),
]
