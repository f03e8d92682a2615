"""The labelled answers from which the refusal judge learns.

The golden set's `dev.jsonl` and `training.jsonl` are this project's own; its held-out half is never
learnt from. The others are published answers of real models to XSTest's prompts with the label that
people agreed on (paul-rottger/xstest, CC-BY-4.0): named by digest, read where they lie, not copied.
"""

import hashlib
import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from holdfast.judges import rules
from holdfast.judges.detect_language import ENGLISH, detect_language
from holdfast.judges.refusal import TERSE_CHARS, wording
from holdfast.judges.sentences import read_sentences, straighten

GOLDEN = Path(__file__).parents[2] / "tests" / "data" / "refusals"
PUBLISHED = {
    "llama2orig": "cfc9ec43324b9f0f8c3c702c2a2f1eab1a3c5725a179e2f420f3906c1ac41099",
    "mistralguard": "510bf1968dfc53f74f963a1c1210a6c173b292dd26ddea398663dc2b164b2649",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One answer with a person's label; `model` is None where this project wrote it."""

    prompt: str
    completion: str
    label: str
    model: str | None = None
    safe: bool = True

    @property
    def refused(self) -> bool:
        """Partial refusals are refusals."""
        return self.label != "compliance"

    @property
    def weighed(self) -> bool:
        """Whether the weights are asked about it at all."""
        opening = straighten(self.completion)
        return len(opening) >= TERSE_CHARS and detect_language(opening) == ENGLISH

    @property
    def features(self) -> dict[str, float]:
        """As the judge computes them."""
        return _features(self.prompt, self.completion)


@cache
def _features(prompt: str, completion: str) -> dict[str, float]:
    opening = straighten(completion)
    sentences = read_sentences(opening)
    by_rules = rules.weigh(prompt.strip().lower(), opening, sentences)
    return wording(prompt, opening, sentences, by_rules)


def golden(name: str) -> list[Row]:
    """A file of this project's golden set."""
    text = (GOLDEN / f"{name}.jsonl").read_text(encoding="utf-8")
    rows = [json.loads(line) for line in text.splitlines()]
    return [Row(row["prompt"], row["completion"], row["label"]) for row in rows]


def published(folder: Path) -> list[Row]:
    """The answers of real models; exits unless the files are exactly those that are named."""
    rows = []
    for model, digest in PUBLISHED.items():
        file = folder / f"{model}.jsonl"
        content = file.read_bytes() if file.is_file() else b""
        found = hashlib.sha256(content).hexdigest()
        if found != digest:
            raise SystemExit(f"{file} has sha256 {found}, expected {digest}: see docs/judges.md")
        for row in map(json.loads, content.decode().splitlines()):
            safe = not row["type"].startswith("contrast_")
            rows.append(Row(row["prompt"], row["completion"], row["label"], model, safe))
    return rows
