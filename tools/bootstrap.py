"""Make `.venv` from a committed lock, on a machine that has only Python.

Standard library only, because it runs before anything is installed. Why uv: pip cannot leave out
a transitive dependency, and the CPU build of vLLM must be installed without torchvision and its
kin, or gigabytes of CUDA come along. Why the find-links step: uv does not read pip's settings, and
on some machines the CPU wheel of torch lies in a folder that only pip's settings name.

    python3 tools/bootstrap.py [sync|lock]
"""

import hashlib
import io
import json
import os
import platform
import subprocess
import sys
import urllib.request
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
STAMP = VENV / "holdfast-lock.sha256"
TOOLS = ROOT / ".tools"
UV_VERSION = "0.13.8"
EXTRAS = ("embedded", "lm-eval", "dev")


def main(command: str) -> None:
    accelerator = os.environ.get("HOLDFAST_ACCEL", "cpu")
    if accelerator not in ("cpu", "gpu"):
        raise SystemExit(f"HOLDFAST_ACCEL is {accelerator!r}, expected cpu or gpu")
    if command == "lock":
        compile_locks()
    elif command == "sync":
        sync(ROOT / "locks" / f"{accelerator}.txt", accelerator)
    else:
        raise SystemExit(f"unknown command {command!r}, expected sync or lock")


def sync(lock: Path, accelerator: str) -> None:
    """Bring `.venv` to the lock; do nothing when the stamp says that it is there already."""
    content = lock.read_bytes() + (ROOT / "pyproject.toml").read_bytes() + str(ROOT).encode()
    wanted = hashlib.sha256(content).hexdigest()
    if STAMP.is_file() and STAMP.read_text() == wanted:
        return
    print(f"setting up .venv from locks/{lock.name} (once)", flush=True)
    uv = find_uv()
    run(uv, "venv", "--quiet", "--allow-existing", "--python", sys.executable, VENV)
    python = VENV / "bin" / "python"
    sources = torch_source() if accelerator == "cpu" else ["--torch-backend", "auto"]
    # compiled now: where PYTHONDONTWRITEBYTECODE is set, every process would compile torch anew
    compiled = "--compile-bytecode"
    run(uv, "pip", "sync", "--quiet", compiled, "--python", python, *sources, lock)
    run(uv, "pip", "install", "--quiet", "--python", python, "--no-deps", "--editable", ROOT)
    STAMP.write_text(wanted)  # written last: its presence means complete


def compile_locks() -> None:
    """Resolve pyproject.toml into both locks; the excludes hold for the CPU alone."""
    uv = find_uv()
    extras = [word for extra in EXTRAS for word in ("--extra", extra)]
    common = ["--quiet", "--no-emit-index-url", "--no-emit-find-links", "--no-header"]
    common += ["--python-version", "3.11", "pyproject.toml", *extras]
    cpu = ["--config-file", "locks/cpu.toml", *torch_source(), "--extra", "cpu"]
    gpu = ["--python-platform", "x86_64-manylinux_2_28", "--extra", "gpu"]
    run(uv, "pip", "compile", *common, *cpu, "--output-file", "locks/cpu.txt")
    run(uv, "pip", "compile", *common, *gpu, "--output-file", "locks/gpu.txt")


def torch_source() -> list[str]:
    """Where the CPU build of torch comes from: pip's find-links if they hold one, else PyTorch."""
    links = pip_find_links()
    if any(list(Path(link).glob("torch-*+cpu-*.whl")) for link in links if Path(link).is_dir()):
        return [word for link in links for word in ("--find-links", link)]
    return ["--torch-backend", "cpu"]


def pip_find_links() -> list[str]:
    """The folders that pip was told of, by environment or by pip.conf."""
    if "PIP_FIND_LINKS" in os.environ:
        return os.environ["PIP_FIND_LINKS"].split()
    asked = subprocess.run(
        [sys.executable, "-m", "pip", "config", "get", "global.find-links"],
        capture_output=True,
        text=True,
        check=False,  # pip may be absent, or hold no such setting: both mean "none"
    )
    return asked.stdout.split()


def find_uv() -> Path:
    """A uv of the pinned version in .tools/: through pip, or as a checked wheel from PyPI."""
    uv = TOOLS / f"uv-{UV_VERSION}" / "bin" / "uv"
    if uv.is_file():
        return uv
    target = uv.parent.parent
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", target]
    quiet = {**os.environ, "PIP_ROOT_USER_ACTION": "ignore", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    by_pip = subprocess.run(
        [*pip, f"uv=={UV_VERSION}"], env=quiet, capture_output=True, text=True, check=False
    )
    if by_pip.returncode != 0 or not uv.is_file():
        download_uv(target)
    return uv


def download_uv(target: Path) -> None:
    """Fetch uv's wheel without pip (Debian's Python has none) and check its sha256."""
    with urllib.request.urlopen(f"https://pypi.org/pypi/uv/{UV_VERSION}/json") as reply:
        files = json.load(reply)["urls"]
    machine = platform.machine()
    wheels = [f for f in files if f["filename"].endswith(".whl") and machine in f["filename"]]
    system = "macosx" if sys.platform == "darwin" else "manylinux"
    chosen = next((f for f in wheels if system in f["filename"]), None)
    if chosen is None:
        raise SystemExit(f"no uv {UV_VERSION} wheel for {sys.platform} {machine}: install uv")
    with urllib.request.urlopen(chosen["url"]) as reply:
        wheel = reply.read()
    found = hashlib.sha256(wheel).hexdigest()
    if found != chosen["digests"]["sha256"]:
        raise SystemExit(f"{chosen['filename']} has sha256 {found}, PyPI says otherwise")
    binary = target / "bin" / "uv"
    binary.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        name = next(n for n in archive.namelist() if n.endswith("scripts/uv"))
        binary.write_bytes(archive.read(name))
    binary.chmod(0o755)


def run(*command: object) -> None:
    """Run one step; its own message is already on screen when it fails."""
    done = subprocess.run([str(word) for word in command], cwd=ROOT, check=False)
    if done.returncode != 0:
        raise SystemExit(f"set-up stopped: {command[0]} {command[1]} exited {done.returncode}")


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else "sync")
