"""Make `.venv` from a committed lock, on a machine that has only Python.

Standard library only, because it runs before anything is installed. Nothing is resolved here, and
every file, uv's own and those of build backends too, must have a sha256 that a lock states. Why
uv: pip cannot leave out a transitive dependency, and the CPU build of vLLM must be installed
without torchvision and its kin, or gigabytes of CUDA come along. Why the find-links step: uv does
not read pip's settings, and on some machines the CPU wheel of torch lies in a folder that only
pip's settings name.

    python3 tools/bootstrap.py [sync|sbom]
"""

import hashlib
import io
import json
import os
import platform
import re
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
TOOLS = ROOT / ".tools"
LOCKS = ROOT / "locks"
STAMP = "holdfast-lock.sha256"
ENVIRONMENTS = {  # torch of the CPU has a lock of its own: its wheel comes from several places
    "cpu": (LOCKS / "cpu.txt", LOCKS / "torch-cpu.txt"),
    "gpu": (LOCKS / "gpu.txt",),
}
HASHED_BUILDS = ("--build-constraints", LOCKS / "build.txt", "--require-build-hashes")
UV_FILES = "https://pypi.org/simple/uv/"


def main(command: str) -> None:
    accelerator = os.environ.get("HOLDFAST_ACCEL", "cpu")
    if accelerator not in ENVIRONMENTS:
        raise SystemExit(f"HOLDFAST_ACCEL is {accelerator!r}, expected cpu or gpu")
    if command == "sync":
        sources = torch_source() if accelerator == "cpu" else ()
        sync(VENV, ENVIRONMENTS[accelerator], sources, itself=True)
    elif command == "sbom":
        sync(TOOLS / "sbom", (LOCKS / "sbom.txt",))
    else:
        raise SystemExit(f"unknown command {command!r}, expected sync or sbom")


def sync(
    venv: Path, locks: tuple[Path, ...], sources: tuple[str, ...] = (), *, itself: bool = False
) -> None:
    """Bring an environment to its locks; do nothing where its stamp says that it is there."""
    files = (*locks, LOCKS / "build.txt", ROOT / "pyproject.toml")
    content = b"".join(file.read_bytes() for file in files) + str(ROOT).encode()
    wanted = hashlib.sha256(content).hexdigest()
    stamp = venv / STAMP
    if stamp.is_file() and stamp.read_text() == wanted:
        return
    print(f"setting up {venv.name} from locks/{locks[0].name} (once)", flush=True)
    uv = find_uv()
    run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, venv)
    target = ("--quiet", "--python", venv / "bin" / "python", *HASHED_BUILDS)
    # compiled now: where PYTHONDONTWRITEBYTECODE is set, every process would compile torch anew
    run(uv, "pip", "sync", *target, "--require-hashes", "--compile-bytecode", *sources, *locks)
    if itself:
        run(uv, "pip", "install", *target, "--no-deps", "--editable", ROOT)
    stamp.write_text(wanted)  # written last: its presence means complete


def torch_source() -> tuple[str, ...]:
    """Where the CPU build of torch comes from: pip's find-links if they hold one, else PyTorch."""
    links = pip_find_links()
    if any(list(Path(link).glob("torch-*+cpu-*.whl")) for link in links if Path(link).is_dir()):
        return tuple(word for link in links for word in ("--find-links", link))
    return ("--torch-backend", "cpu")


def pip_find_links() -> list[str]:
    """The folders that pip was told of, by environment or by pip.conf."""
    if "PIP_FIND_LINKS" in os.environ:
        return os.environ["PIP_FIND_LINKS"].split()
    setting = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
        check=False,  # pip may be absent, or hold no such setting: both mean "none"
    )
    return setting.stdout.split()


def find_uv() -> Path:
    """The locked uv in .tools/: through pip, or as a wheel fetched without it."""
    lock = LOCKS / "uv.txt"
    version, hashes = locked_uv(lock.read_text())
    uv = TOOLS / f"uv-{version}" / "bin" / "uv"
    if uv.is_file():
        return uv
    target = uv.parent.parent
    options = ["--quiet", "--require-hashes", "--only-binary", ":all:", "--target", target]
    quiet = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    pip = [sys.executable, "-m", "pip", "install", *options, "--requirement", lock]
    by_pip = subprocess.run(pip, env=quiet, capture_output=True, text=True, check=False)
    if by_pip.returncode != 0 or not uv.is_file():
        download_uv(uv, hashes)
    return uv


def locked_uv(lock: str) -> tuple[str, set[str]]:
    """The version of uv that its lock names, and the hashes of that version's files."""
    version = re.search(r"^uv==(\S+)", lock, re.MULTILINE)
    if version is None:
        raise SystemExit("locks/uv.txt names no uv==VERSION: restore it, or run make lock")
    return version[1], set(re.findall(r"--hash=sha256:([0-9a-f]{64})", lock))


def download_uv(binary: Path, hashes: set[str]) -> None:
    """Fetch uv's wheel without pip (Debian's Python has none); the lock has to know its sha256."""
    system = "macosx" if sys.platform == "darwin" else "manylinux"
    chosen = next(
        (
            file["url"]
            for file in index_files()
            if file["hashes"].get("sha256") in hashes
            and file["filename"].endswith(".whl")
            and system in file["filename"]
            and platform.machine() in file["filename"]
        ),
        None,
    )
    if chosen is None:
        raise SystemExit(
            f"{UV_FILES} has no wheel of uv for {sys.platform} {platform.machine()} with a hash of "
            "locks/uv.txt: install pip for this Python, or run on a machine that the lock knows"
        )
    with urllib.request.urlopen(urllib.parse.urljoin(UV_FILES, chosen)) as reply:
        wheel = reply.read()
    digest = hashlib.sha256(wheel).hexdigest()
    if digest not in hashes:
        raise SystemExit(f"{chosen} has sha256 {digest}, which locks/uv.txt does not name")
    binary.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("scripts/uv"))
        binary.write_bytes(archive.read(name))
    binary.chmod(0o755)


def index_files() -> list[dict[str, Any]]:
    """What PyPI's index has of uv, in the form of PEP 691."""
    wanted = {"Accept": "application/vnd.pypi.simple.v1+json"}
    with urllib.request.urlopen(urllib.request.Request(UV_FILES, headers=wanted)) as reply:
        files: list[dict[str, Any]] = json.load(reply)["files"]
    return files


def run(*command: object) -> None:
    """Run one step; its own message is already on screen when it fails."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"set-up stopped: {command[0]} {command[1]} exited {done.returncode}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sync")
