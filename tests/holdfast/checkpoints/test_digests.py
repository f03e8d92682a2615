"""A folder keeps its digest: literal ones, of folders as commit b196b6b hashed them, held for ever.

A verdict, an attestation and every cached answer name a digest. What admission takes may grow, but
whatever it took once has to be the same checkpoint under every later version.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest

from holdfast.checkpoints.adapter import admit_checkpoint
from holdfast.checkpoints.checkpoint import admit
from tests.support.checkpoint_files import shard, sound_checkpoint
from tests.support.folders import write_tensors

CARD = {"README.md": "# a model\n", "NOTICE": "none", ".gitattributes": "* text=auto\n"}
TOKENIZER = {
    "tokenizer.json": '{"model": {}}',
    "tokenizer.model": "not really sentencepiece",
    "vocab.txt": "a\nb\n",
    "special_tokens_map.json": "{}",
    "chat_template.jinja": "{{ messages[0].content }}",
    "generation_config.json": '{"eos_token_id": 2}',
}
TRAINER = {"trainer_state.json": '{"global_step": 500}', "all_results.json": '{"loss": 1.0}'}
SUBFOLDERS = {
    "chat_template.jinja": "{{ messages[0].content }}",  # without it the next unseats the config's
    "additional_chat_templates/rag.jinja": "{{ documents }}",
    "1_Pooling/config.json": '{"pooling_mode_mean_tokens": true}',
    "2_Dense/deeper/notes.txt": "two down",
}
HIDDEN = {".cache/notes.json": "{}", ".eval/results.json": "[]"}

FOLDERS: list[tuple[Mapping[str, str], bool, str]] = [
    ({}, False, "8541cb2be628b94212e591652adf906a314295ddcefb4e5d9a2c85351de88897"),
    ({}, True, "7bdd45d14045a7f33ff607542c510ad98f2c90d4806875852b3387226264e6c9"),
    (CARD, False, "b358de9614342b9cd6f801d223cdc68ddb40540b3fe22b4c5a907fe8b1fa7400"),
    (TOKENIZER, False, "58396614e80e05473ae65abd89af32333fe948982610612c08536b3398ec4abe"),
    (TRAINER, True, "b941365a15f3e513200df4761f6d33ee98fe2272fbe7326186b3eb77dd998ac5"),
    (SUBFOLDERS, False, "a1d547d2817d29ce22b20f550ee0a2d372d9c2c53f0dc853ffff0377c547dfa2"),
    (HIDDEN, False, "5d47e4314a00a1cf59158d431a2b9721161a45fd09fb1c56a4a0e89b9ee35f6a"),
    (
        CARD | TOKENIZER | TRAINER | SUBFOLDERS | HIDDEN,
        True,
        "e71d4f3371f70754d9a029a55cfb4a7255fdbb10223c62fe43fca68a248bb797",
    ),
]


def write(folder: Path, texts: Mapping[str, str]) -> None:
    for name, text in texts.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


@pytest.mark.parametrize(("texts", "in_shards", "digest"), FOLDERS)
def test_a_folder_keeps_its_digest(
    texts: Mapping[str, str], in_shards: bool, digest: str, tmp_path: Path
) -> None:
    folder = sound_checkpoint(tmp_path / "model")
    write(folder, texts)
    if in_shards:
        shard(folder)
    assert admit(str(folder), [tmp_path]).digest == f"sha256:{digest}"


def test_a_base_with_its_adapter_keeps_its_digest(tmp_path: Path) -> None:
    base = sound_checkpoint(tmp_path / "base")
    write(base, CARD)
    write_tensors(base / "model.safetensors", {"model.q_proj.weight": (4, 6)})
    adapter = tmp_path / "adapter"
    factors = {"A": (2, 6), "B": (4, 2)}
    write(
        adapter,
        {
            "adapter_config.json": '{"peft_type": "LORA", "r": 2, "lora_alpha": 8}',
            "README.md": "# an adapter\n",
            "trainer_state.json": "{}",
            "tokenizer_config.json": '{"chat_template": "{{ messages }}"}',
        },
    )
    write_tensors(
        adapter / "adapter_model.safetensors",
        {f"base_model.model.model.q_proj.lora_{side}.weight": s for side, s in factors.items()},
    )
    ref = admit_checkpoint(str(base), str(adapter), [tmp_path])
    assert ref.digest == "sha256:66f7a5305dbdb300c199105ccf3fb8abb5829a2d56ed2395cc8b6ad71cdbc045"
