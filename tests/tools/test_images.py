"""Images: nothing is resolved while one is built, and a digest goes behind every tag."""

import re
from pathlib import Path

import pytest
import yaml

from tests.support.tools import tool

ROOT = Path(__file__).resolve().parents[2]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
COMPOSE = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
STEPS = [  # each command of each RUN, its continued lines joined
    step.strip()
    for run in re.findall(r"^RUN ((?:.*\\\n)*.*)$", DOCKERFILE, re.MULTILINE)
    for step in run.replace("\\\n", " ").split("&&")
]
OLD, NEW = f"sha256:{'0' * 64}", f"sha256:{'1' * 64}"
images = tool("images")


def test_what_an_image_fetches_is_named_by_its_hash() -> None:
    fetching = [step for step in STEPS if re.search(r"\bpip (install|sync)\b|\buv build\b", step)]
    assert len(fetching) == 6
    assert [
        step for step in fetching if not re.search(r" --(require-hashes|offline) ", f"{step} ")
    ] == []


@pytest.mark.parametrize(
    "word", ["apt-get", "apk ", "curl", "wget", "git clone", "pip compile", "--upgrade", "# syntax"]
)
def test_nothing_is_resolved_while_an_image_is_built(word: str) -> None:
    assert word not in DOCKERFILE


def test_every_image_of_somebody_else_is_one_that_can_be_pinned() -> None:
    stages = set(re.findall(r"^FROM .* AS ([\w-]+)$", DOCKERFILE, re.MULTILINE))
    bases = set(re.findall(r"^FROM (\S+)", DOCKERFILE, re.MULTILINE))
    assert bases - stages == {"${PYTHON_IMAGE}", "${WORKER_BASE}"}
    assert set(re.findall(r"^COPY --from=(\S+)", DOCKERFILE, re.MULTILINE)) <= stages
    services = yaml.safe_load(COMPOSE)["services"].values()
    named = {service["image"] for service in services if "build" not in service}
    matched = {match["tag"] + (match["digest"] or "") for match in images.IMAGE.finditer(COMPOSE)}
    assert named <= matched
    assert {match["tag"] for match in images.IMAGE.finditer(DOCKERFILE)} == {
        "python:3.11-slim-bookworm",
        "vllm/vllm-openai:v0.32.0",
    }


@pytest.mark.parametrize("old", ["", f"@{OLD}"], ids=["a tag", "an older digest"])
def test_a_digest_goes_behind_the_tag(old: str) -> None:
    text = f"ARG PYTHON_IMAGE=python:3{old}\n    image: redis:8{old}\n"
    text += f'args: {{WORKER_BASE: "v/o:1{old}"}}'
    digests = {"python:3": NEW, "redis:8": NEW, "v/o:1": NEW}
    assert images.pinned(text, digests) == (
        f"ARG PYTHON_IMAGE=python:3@{NEW}\n    image: redis:8@{NEW}\n"
        f'args: {{WORKER_BASE: "v/o:1@{NEW}"}}'
    )


def test_our_own_images_are_left_as_they_are() -> None:
    text = "    image: holdfast-api\nARG WORKER_BASE=${PYTHON_IMAGE}\n"
    assert images.pinned(text, {}) == text
