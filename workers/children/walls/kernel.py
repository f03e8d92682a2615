"""System calls that Python 3.11 has no function for: namespaces, mounts, capabilities, prctl.

All of them change the process that calls, so they are called between fork and exec, while there is
one thread. A call that the kernel refuses raises OSError.
"""

import ctypes
import fcntl
import os
import resource
import socket
import struct
from collections.abc import Iterable
from pathlib import Path

NEW_MOUNTS, NEW_USER, NEW_NETWORK = 0x00020000, 0x10000000, 0x40000000  # linux/sched.h
MS_READ_ONLY, MS_NO_SUID, MS_NO_DEV, MS_NO_EXEC = 1, 2, 4, 8
MS_RECURSIVE, MS_SLAVE = 0x4000, 0x80000
SET_NO_NEW_PRIVS, DROP_BOUNDING = 38, 24  # linux/prctl.h
CAPSET = {"x86_64": 126, "aarch64": 91, "riscv64": 91, "ppc64le": 184}
CAPABILITIES_VERSION_3 = 0x20080522
READ_ANY_FILE = 2  # CAP_DAC_READ_SEARCH
GET_FLAGS, SET_FLAGS, UP = 0x8913, 0x8914, 1  # linux/sockios.h, linux/if.h
LOOPBACK = b"lo"

library = ctypes.CDLL(None, use_errno=True)


def checked(result: int, doing: str) -> int:
    """The result of a call into the C library; OSError where it is negative."""
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{doing}: {os.strerror(number)}")
    return result


def system_call(number: int, doing: str, *arguments: object) -> int:
    """A system call that the C library has no function for."""
    return checked(library.syscall(ctypes.c_long(number), *arguments), doing)


def leave_network() -> None:
    """Enter a network of our own that has a loopback and nothing else, and mounts of our own.

    Root does so as it is; anybody else by a user namespace, in which they keep their number.
    """
    try:
        checked(library.unshare(NEW_NETWORK | NEW_MOUNTS), "unshare")
    except PermissionError:
        user, group = os.geteuid(), os.getegid()
        checked(library.unshare(NEW_USER | NEW_NETWORK | NEW_MOUNTS), "user namespace")
        Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
        Path("/proc/self/uid_map").write_text(f"{user} {user} 1", encoding="utf-8")
        Path("/proc/self/gid_map").write_text(f"{group} {group} 1", encoding="utf-8")
    mount("/", None, MS_RECURSIVE | MS_SLAVE, None)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        request = struct.pack("16sh22x", LOOPBACK, 0)
        (flags,) = struct.unpack("16xh22x", fcntl.ioctl(any_socket, GET_FLAGS, request))
        fcntl.ioctl(any_socket, SET_FLAGS, struct.pack("16sh22x", LOOPBACK, flags | UP))


def hide(folders: Iterable[str]) -> None:
    """Lay an empty folder over each of these, in mounts of our own."""
    for folder in folders:
        mount(folder, b"tmpfs", MS_READ_ONLY | MS_NO_SUID | MS_NO_DEV | MS_NO_EXEC, b"size=4k")


def mount(place: str, kind: bytes | None, flags: int, options: bytes | None) -> None:
    """Mount a file system that has no device, or change how `place` is mounted."""
    encoded = os.fsencode(place)
    done = library.mount(b"none", encoded, kind, ctypes.c_ulong(flags), options)
    checked(done, f"mounting over {place}")


def forgo_privileges() -> None:
    """Gain no privilege by any program, keep none of root's but reading, and dump no core.

    Reading any file stays, since the checkpoints that root was given may be another user's.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    prctl = ctypes.c_ulong
    checked(library.prctl(SET_NO_NEW_PRIVS, prctl(1), prctl(0), prctl(0), prctl(0)), "no_new_privs")
    number = CAPSET.get(os.uname().machine)
    if number is None or not effective_capabilities():
        return
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text(encoding="utf-8"))
    for capability in set(range(last + 1)) - {READ_ANY_FILE}:
        library.prctl(DROP_BOUNDING, prctl(capability), prctl(0), prctl(0), prctl(0))
    header = struct.pack("=Ii", CAPABILITIES_VERSION_3, 0)
    # a program that is no root's starts without any, and could not follow links to one that has it
    remaining = effective_capabilities() & 1 << READ_ANY_FILE if os.geteuid() == 0 else 0
    data = struct.pack("=6I", remaining, remaining, 0, 0, 0, 0)
    system_call(number, "dropping capabilities", header, data)


def effective_capabilities() -> int:
    """The capabilities of this process, as bits."""
    status = Path("/proc/self/status").read_text(encoding="utf-8", errors="replace")
    (line,) = (line for line in status.splitlines() if line.startswith("CapEff:"))
    return int(line.split()[1], 16)
