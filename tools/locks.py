"""locks/: pyproject.toml resolved once, with the sha256 of every file that may be used.

    make lock    (python3 -m tools.locks)

Versions that a lock names already stay; delete a package's lines, or the file, to renew. Three
files are inputs, written by hand: excludes.txt and cpu-excludes.txt (what nothing here imports),
and torch-cpu.txt.
"""

import subprocess

from tools.bootstrap import ROOT, find_uv, torch_source

COMMON = (  # paths below the root, since a lock repeats them in its comments
    *("--quiet", "--generate-hashes", "--python-version", "3.11"),
    *("--no-header", "--no-emit-index-url", "--no-emit-find-links"),
)
BUILDS = ("--build-constraints", "locks/build.txt", "--require-build-hashes")
# What the set-up itself runs: build backends (of our wheel, of two sdists), uv, the SBOM's maker.
TOOLS = {
    "build": ("editables", "hatchling", "setuptools", "wheel"),
    "uv": ("uv==0.13.8",),
    "sbom": ("cyclonedx-bom>=7.5,<8", "cyclonedx-python-lib[json-validation]"),
}
CLIENT = ("httpx", "numpy", "pydantic", "pyyaml", "rich")
EVERYWHERE = ("--extra", "embedded", "--extra", "lm-eval", "--extra", "dev")


def compile_locks() -> None:
    """Write every lock: first the tools, since they build what the others have no wheel of."""
    for name, requirements in TOOLS.items():
        compile_lock(name, "-", text="\n".join(requirements))
    excludes = ("--excludes", "locks/excludes.txt")
    not_on_cpu = ("--excludes", "locks/cpu-excludes.txt", *torch_source())
    torch = ("--constraints", "locks/torch-cpu.txt", "--no-emit-package", "torch")
    project = ("pyproject.toml", *BUILDS, *excludes)
    compile_lock("cpu", *project, *EVERYWHERE, "--extra", "cpu", *not_on_cpu, *torch)
    # the image without an engine: the same versions, so that all processes of a stack agree
    compile_lock("base", *project, "--constraints", "locks/cpu.txt")
    # whoever only submits and asks: no queue, database, web framework or statistics
    client = "\n".join(CLIENT)
    compile_lock("client", "-", "--constraints", "locks/base.txt", text=client)
    linux = ("--python-platform", "x86_64-manylinux_2_28")
    compile_lock("gpu", *project, *EVERYWHERE, "--extra", "gpu", *linux)


def compile_lock(name: str, *words: str, text: str = "") -> None:
    """One lock, in place."""
    command = ("pip", "compile", *COMMON, *words, "--output-file", f"locks/{name}.txt")
    done = subprocess.run([find_uv(), *command], cwd=ROOT, input=text, text=True, check=False)
    if done.returncode != 0:
        raise SystemExit(f"locks/{name}.txt could not be made: uv exited {done.returncode}")


if __name__ == "__main__":
    compile_locks()
