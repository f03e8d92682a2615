"""The SBOM: valid CycloneDX 1.6, with every package of the lock. Needs `make sbom` once.

`make sbom` itself checks all of them; here are the two that a machine without a GPU installs.
"""

import json
import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PYTHON = ROOT / ".tools" / "sbom" / "bin" / "python"
ROOT_REF = "root-component"
ASK = """
import json, sys
sys.path.insert(0, sys.argv[1])
import sbom
lock = sys.stdin.read()
pins = [(name, version) for name, version, _ in sbom.PACKAGE.findall(lock)]
document = sbom.sbom(lock, {pin: [{"license": {"id": "MIT"}}] for pin in pins if pin[0] == "redis"})
print(json.dumps({"document": document, "faults": sbom.faults(document, lock),
    "of a longer lock": sbom.faults(document, lock + "left-pad==1.0"),
    "without names": sbom.faults({"components": [{"name": "x", "version": "1"}]}, "")}))
"""
pytestmark = pytest.mark.skipif(not PYTHON.is_file(), reason="run make sbom first: it is a tool's")


@cache
def answered(*files: str) -> tuple[str, dict[str, Any]]:
    lock = "".join((ROOT / "locks" / f"{file}.txt").read_text() for file in files)
    command = [PYTHON, "-c", ASK, ROOT / "tools"]
    done = subprocess.run(command, input=lock, stdout=subprocess.PIPE, text=True, check=True)
    return lock, json.loads(done.stdout)


@pytest.mark.parametrize("files", [("base",), ("cpu", "torch-cpu")], ids=" ".join)
def test_every_package_of_a_lock_is_in_a_valid_sbom_with_its_hashes(files: tuple[str, ...]) -> None:
    lock, answer = answered(*files)
    document = answer["document"]
    assert answer["faults"] == []
    refs = {entry["ref"] for entry in document["dependencies"]}
    assert refs == {component["bom-ref"] for component in document["components"]} | {ROOT_REF}
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    hashes = {
        (component["name"], component["version"]): {
            digest["content"]
            for reference in component["externalReferences"]
            for digest in reference["hashes"]
        }
        for component in document["components"]
    }
    entries = re.findall(r"^([a-z0-9-]+)==(\S+)((?: \\\n +--hash=sha256:\S+)+)", lock, re.MULTILINE)
    assert hashes == {
        (name, version): set(re.findall(r"sha256:(\w+)", rest)) for name, version, rest in entries
    }


def test_licences_and_who_asks_are_in_it() -> None:
    document = answered("cpu", "torch-cpu")[1]["document"]
    components = {component["name"]: component for component in document["components"]}
    assert components["redis"]["licenses"] == [{"license": {"id": "MIT"}}]
    assert "pytorch.org" in json.dumps(components["torch"]["externalReferences"])
    needs = {entry["ref"]: entry["dependsOn"] for entry in document["dependencies"]}
    assert {"torch", "fastapi", "limits"} <= set(needs[ROOT_REF])
    assert needs["limits"] == ["deprecated", "packaging", "typing-extensions"]


def test_a_document_that_is_not_whole_or_not_valid_is_a_fault() -> None:
    _, answer = answered("uv")
    assert answer["of a longer lock"] == ["left-pad 1.0 of the lock is missing"]
    assert len(answer["without names"]) == 1
