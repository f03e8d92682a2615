"""dist/LOCK.cdx.json: what a lock installs, as CycloneDX 1.6: versions, hashes, licences, who asks.

    make sbom    (.tools/sbom/bin/python tools/sbom.py)

cyclonedx-py reads the lock, which states versions and hashes, and the installed `.venv`, whose
packages state their licences; one that is not installed here, such as those of GPUs, has none.
Nothing is written that the library does not find valid, or that lacks a package of the lock.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT = Path(__file__).resolve().parent.parent
MAKER = Path(sys.executable).parent / "cyclonedx-py"
LOCKS = {"base": ("base",), "cpu": ("cpu", "torch-cpu"), "gpu": ("gpu",)}
PROJECT = "root-component"  # as cyclonedx-py calls what pyproject.toml describes
TORCH_CPU = "https://download.pytorch.org/whl/cpu/torch/"  # not PyPI, as cyclonedx-py supposes
PACKAGE = re.compile(r"^([a-z0-9][\w.-]*)==(\S+)((?:.*\n?)(?:[ ]+\S.*\n?)*)", re.MULTILINE)
ASKER = re.compile(r"^    #(?: via|  ) +(\w[\w.-]*)", re.MULTILINE)

Licences = dict[tuple[str, str], Any]


def write_all() -> None:
    """Make, check and write one document for each lock."""
    licences = installed_licences()
    for name, files in LOCKS.items():
        lock = "".join((ROOT / "locks" / f"{file}.txt").read_text() for file in files)
        document = sbom(lock, licences)
        if problems := faults(document, lock):
            raise SystemExit(f"no SBOM of {name}: {'; '.join(problems)}")
        file = ROOT / "dist" / f"{name}.cdx.json"
        file.parent.mkdir(exist_ok=True)
        file.write_text(json.dumps(document, indent=1) + "\n")
        components = document["components"]
        licensed = sum("licenses" in component for component in components)
        print(f"dist/{file.name}: {len(components)} packages, {licensed} with a licence")


def sbom(lock: str, licences: Licences) -> dict[str, Any]:
    """A lock as a CycloneDX document; the same bytes for the same lock and environment."""
    document = made("requirements", "--pyproject", ROOT / "pyproject.toml", "-", text=lock)
    for component in document["components"]:
        component["bom-ref"] = component["name"]
        del component["description"]  # the lock's line, hashes and all, once more
        key = (component["name"], component["version"])
        if key in licences:
            component["licenses"] = licences[key]
        if component["version"].endswith("+cpu"):
            component["externalReferences"][0]["url"] = TORCH_CPU
    document["dependencies"] = dependencies(lock)
    return document


def dependencies(lock: str) -> list[dict[str, Any]]:
    """Who asks for what, as the lock says it in the comment below each package."""
    needs: dict[str, set[str]] = {PROJECT: set()}
    for name, _, rest in PACKAGE.findall(lock):
        needs.setdefault(name, set())
        for asker in ASKER.findall(rest):
            needs.setdefault(PROJECT if asker == "holdfast" else asker, set()).add(name)
    return [{"ref": name, "dependsOn": sorted(needs[name])} for name in sorted(needs)]


def installed_licences() -> Licences:
    """The licences that installed packages declare, by normalised name (PEP 503) and version."""
    components = made("environment", ROOT / ".venv" / "bin" / "python")["components"]
    return {
        (re.sub(r"[-_.]+", "-", component["name"]).lower(), component["version"]): licences
        for component in components
        if (licences := component.get("licenses"))
    }


def made(*words: object, text: str = "") -> dict[str, Any]:
    """The document that cyclonedx-py writes; validated by us, once it has its licences."""
    options = ("--output-reproducible", "--no-validate", "--spec-version", "1.6")
    command = [str(word) for word in (MAKER, words[0], *options, *words[1:])]
    done = subprocess.run(command, input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"cyclonedx-py {words[0]} exited {done.returncode}: {done.stderr}")
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def faults(document: dict[str, Any], lock: str) -> list[str]:
    """Why this is no whole and valid SBOM of the lock."""
    invalid = JsonStrictValidator(SchemaVersion.V1_6).validate_str(json.dumps(document))
    listed = {(component["name"], component["version"]) for component in document["components"]}
    pins = {(name, version) for name, version, _ in PACKAGE.findall(lock)}
    missing = [f"{name} {version} of the lock is missing" for name, version in pins - listed]
    return [str(invalid), *missing] if invalid else missing


if __name__ == "__main__":
    write_all()
