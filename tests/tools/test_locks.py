"""The locks say what pyproject.toml asks for, whole, and every file of it by its hash."""

import os
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
LOCKS = ROOT / "locks"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
SHARED = ("embedded", "lm-eval", "dev")
ENVIRONMENTS = {  # the extras of each, and its files
    "base": ((), ("base",)),
    "cpu": ((*SHARED, "cpu"), ("cpu", "torch-cpu")),
    "gpu": ((*SHARED, "gpu"), ("gpu",)),
}
FILES = ("base", "client", "cpu", "torch-cpu", "gpu", "build", "uv", "sbom")
WHERE = {"python_version": "3.11", "sys_platform": "linux", "platform_machine": "x86_64"}
PIN = re.compile(r"([a-z0-9][a-z0-9-]*)==([\w.+!]+)( \\\n    --hash=sha256:[0-9a-f]{64})+\n")
COMMENT = re.compile(r" *#.*\n|\n")
DIRECT = re.compile(r"^([\w-]+)==(?:.*\n +--hash)*.*(?:\n    #.*)*holdfast \(", re.MULTILINE)


@cache
def text(name: str) -> str:
    return "".join((LOCKS / f"{file}.txt").read_text() for file in ENVIRONMENTS[name][1])


@cache
def pins(name: str) -> dict[str, str]:
    return dict(re.findall(r"^([a-z0-9][a-z0-9-]*)==(\S+)", text(name), re.MULTILINE))


def client_pins() -> dict[str, str]:
    locked = (LOCKS / "client.txt").read_text()
    return dict(re.findall(r"^([a-z0-9][a-z0-9-]*)==(\S+)", locked, re.MULTILINE))


def test_the_clients_lock_is_a_part_of_the_services() -> None:
    assert client_pins().items() <= pins("base").items()
    assert len(client_pins()) < len(pins("base")) / 2


ON_A_THIN_CLIENT = """\
import sys
from importlib.metadata import packages_distributions
from packaging.utils import canonicalize_name

allowed = set(sys.argv[1].split(",")) | {"holdfast"}
for module, names in packages_distributions().items():
    if not {canonicalize_name(name) for name in names} & allowed:
        sys.modules[module] = None  # as if it were not installed
from holdfast.cli import main
for words in WORDS:
    code = main(words)
    assert code in {2, 4}, (words, code)
"""


def test_what_submits_and_asks_runs_on_the_clients_lock_alone(tmp_path: Path) -> None:
    """Every command fails at the server that is not there, and none at a missing package."""
    job = "eval_01a231bbef3472bab2357e0f5ecbf502"
    words = [
        ["submit", str(tmp_path), "--baseline", "alias:a", "--policy", "standard"],
        *([word, job] for word in ("verdict", "report", "show", "cancel", "comment")),
        ["list"],
        ["remediate", job, "--recipe", "auto"],
    ]
    script = ON_A_THIN_CLIENT.replace("WORDS", repr(words))
    environment = {
        "PATH": os.environ["PATH"],
        "HOLDFAST_HOME": str(tmp_path / "home"),
        "HOLDFAST_SERVER": "http://127.0.0.1:1",
        "HOLDFAST_API_KEY": "none",
        "HOLDFAST_PATIENCE_SECONDS": "0",
    }
    done = subprocess.run(
        [sys.executable, "-c", script, ",".join(client_pins())],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("does not answer") == len(words), done.stderr


def excluded(name: str) -> set[str]:
    files = ["excludes.txt", *(["cpu-excludes.txt"] if name == "cpu" else [])]
    lines = [line for file in files for line in (LOCKS / file).read_text().splitlines()]
    return {line for line in lines if line and not line.startswith("#")}


def requirements(name: str) -> list[Requirement]:
    """What pyproject.toml asks for in an environment."""
    extras = (PROJECT["optional-dependencies"][extra] for extra in ENVIRONMENTS[name][0])
    lines = [*PROJECT["dependencies"], *(line for extra in extras for line in extra)]
    parsed = [Requirement(line) for line in lines]
    return [need for need in parsed if need.marker is None or need.marker.evaluate(WHERE)]


def needs_of_packages() -> list[tuple[str, Requirement]]:
    """Every locked package with each thing that it asks for, as the installed ones state it."""
    pairs = []
    for package, version in pins("cpu").items():
        try:
            installed = distribution(package)
        except PackageNotFoundError:  # what is installed may be older than the lock
            continue
        if installed.version == version:
            pairs += [(package, Requirement(line)) for line in installed.requires or ()]
    assert len({package for package, _ in pairs}) > 80
    return pairs


@pytest.mark.parametrize("file", FILES)
def test_a_lock_holds_pins_with_hashes_and_comments_and_nothing_else(file: str) -> None:
    lock = (LOCKS / f"{file}.txt").read_text()
    assert PIN.search(lock)
    assert COMMENT.sub("", PIN.sub("", lock)) == ""


def test_every_lock_is_looked_at() -> None:
    assert {path.stem for path in LOCKS.iterdir()} == {*FILES, "excludes", "cpu-excludes"}


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_satisfies_what_pyproject_asks_for(name: str) -> None:
    wrong = [
        f"{need} (locked: {pins(name).get(canonicalize_name(need.name))})"
        for need in requirements(name)
        if not need.specifier.contains(pins(name).get(canonicalize_name(need.name), "0.dev0"))
    ]
    assert wrong == [], "run: make lock"


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_lock_holds_nothing_for_what_pyproject_no_longer_asks_for(name: str) -> None:
    direct = set(DIRECT.findall(text(name)))
    assert direct == {canonicalize_name(need.name) for need in requirements(name)}, "run: make lock"


def test_what_a_locked_package_asks_for_is_locked_or_excluded() -> None:
    locked, left_out = pins("cpu"), excluded("cpu")
    missing = [
        f"{package} asks for {need}"
        for package, need in needs_of_packages()
        if need.marker is None or need.marker.evaluate({"extra": ""})
        if (name := canonicalize_name(need.name)) not in left_out
        if not need.specifier.contains(locked.get(name, "0.dev0"), prereleases=True)
    ]
    assert missing == []


@pytest.mark.parametrize("name", ["cpu", "gpu"])
def test_what_is_excluded_is_not_locked(name: str) -> None:
    assert excluded(name) & pins(name).keys() == set()
    assert "sentry-sdk" not in pins(name)


def test_what_is_excluded_would_be_asked_for() -> None:
    wanted = {canonicalize_name(need.name) for _, need in needs_of_packages()} | {"triton"}
    assert excluded("cpu") <= wanted, "no locked package asks for it any more: drop its line"


def test_all_processes_of_a_stack_run_the_same_versions() -> None:
    assert pins("base").items() <= pins("cpu").items()
