"""The parts of the file system that a child behind the walls needs, and nothing else.

Landlock allows whole folders and takes nothing out of them. So where a folder that may be read
holds the data folder, what lies beside that is allowed piece by piece, as it is at the start.
Checkpoint roots are read as a whole: a warm engine opens checkpoints that were not there when it
started, and a rule cannot be added later.
"""

import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from holdfast.settings import Settings
from workers.children.walls.landlock import DEVICE, LIST, READ, RUN, WRITE

SYSTEM = ("/usr", "/lib", "/lib32", "/lib64", "/bin", "/sbin", "/opt", "/nix", "/gnu", "/sys")
PROCESSES = "/proc"  # what belongs to other processes there stays shut without ptrace's rights
CONFIGURATION = tuple(
    f"/etc/{name}"
    for name in (
        *("ld.so.cache", "ld.so.conf", "ld.so.conf.d", "ld.so.preload", "alternatives", "OpenCL"),
        *("nsswitch.conf", "passwd", "group", "hosts", "host.conf", "resolv.conf", "gai.conf"),
        *("protocols", "services", "localtime", "timezone", "os-release", "mime.types", "nvidia"),
        *("ssl/openssl.cnf", "ssl/certs", "pki/tls", "crypto-policies"),
    )
)
DEVICES = (
    *("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom"),
    *("/dev/dri", "/dev/kfd", "/dev/dxg", "/dev/infiniband", "/dev/nvidia-caps"),
)
SHARED_MEMORY = "/dev/shm"  # noqa: S108  # torch, NCCL and vLLM exchange tensors through it
OWN_READS = ("views", "work", "checkpoints", "merged")
CACHE, SOCKETS = "cache", "redis"
TEMPORARY = "tmp"  # in the folder that is one child's own
LIBRARY_VARIABLES = ("LD_LIBRARY_PATH", "LD_PRELOAD")


@dataclass(frozen=True, slots=True)
class Places:
    """The folders that a child may read and write beside the system, and those hidden from it.

    `private` is the data folder: of it, only what `reads` and `writes` name.
    """

    private: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    hidden: tuple[str, ...]


def places_of(
    settings: Settings, scratch: Path, writes: Iterable[str] = (), reads: Iterable[Path] = ()
) -> Places:
    """The places of a child: `writes` are folders of the data folder, `reads` any others."""
    home = settings.home.resolve()
    roots = [folder for root in settings.roots for folder in around(root.resolve(), home)]
    readable = (*(home / name for name in OWN_READS), *roots, *reads, scratch)
    writable = (
        *(home / name for name in (CACHE, *writes)),
        scratch / TEMPORARY,
        Path(SHARED_MEMORY),
    )
    sockets = home / SOCKETS
    return Places(
        private=str(home),
        reads=tuple(str(folder) for folder in readable if folder.exists()),
        writes=tuple(str(folder) for folder in writable if folder.exists()),
        hidden=(str(sockets),) if sockets.is_dir() else (),
    )


def around(folder: Path, private: Path) -> Iterator[Path]:
    """The folder, or where `private` is in it, all that lies beside that."""
    if folder == private:
        return
    if not private.is_relative_to(folder):
        yield folder
    elif os.access(folder, os.R_OK):
        for entry in sorted(folder.iterdir()):
            yield from around(entry, private)


def rules(places: Places, environment: Mapping[str, str]) -> list[tuple[str, int]]:
    """Landlock's rules for these places, for the interpreter that runs this, and for the system."""
    named = (part for name in LIBRARY_VARIABLES for part in environment.get(name, "").split(":"))
    interpreter = (sys.prefix, sys.base_prefix, str(Path(sys.executable).resolve().parent))
    private = Path(places.private)
    paths = [
        path.resolve()
        for path in map(Path, (*interpreter, *sys.path, *named))
        if path.is_absolute() and path.exists()
    ]
    programs = [str(folder) for path in paths for folder in around(path, private)]
    listed = [str(path) for path in paths if private.is_relative_to(path)]  # else nothing imports
    graphics = [str(device) for device in sorted(Path("/dev").glob("nvidia*"))]
    return [
        *((path, RUN) for path in (*SYSTEM, *programs)),
        *((path, LIST) for path in listed),
        *((path, READ) for path in (PROCESSES, *CONFIGURATION, *places.reads)),
        *((path, DEVICE) for path in (*DEVICES, *graphics)),
        *((path, WRITE) for path in places.writes),
    ]
