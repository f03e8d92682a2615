"""Landlock: a process gives up, for good and for all that it starts, what it may not reach.

Three system calls that no library of ours wraps (linux/landlock.h). A rule allows what lies below a
path, nothing can be taken out of it again, and what no rule allows is refused from then on.
"""

import ctypes
import os
import stat
import struct
from collections.abc import Iterable
from contextlib import suppress

from workers.children.walls.kernel import system_call

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446  # the same on every processor
ASK_VERSION, PATH_BENEATH = 1, 1
LEAST_VERSION = 2  # the first that lets a file be moved from one folder to another

EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
REMOVE_DIR, REMOVE_FILE = 1 << 4, 1 << 5
MAKE_DIR, MAKE_REG, MAKE_SOCK, MAKE_FIFO, MAKE_SYM = 1 << 7, 1 << 8, 1 << 9, 1 << 10, 1 << 12
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
RIGHTS_OF_VERSION = {2: 14, 3: 15, 4: 15, 5: 16}  # how many rights on files each knows
SCOPES_FROM, ABSTRACT_SOCKETS, SIGNALS = 6, 1 << 0, 1 << 1

LIST = READ_DIR
READ = READ_FILE | READ_DIR
RUN = READ | EXECUTE
WRITE = (
    (READ | WRITE_FILE | TRUNCATE | REFER | REMOVE_DIR | REMOVE_FILE)
    | (MAKE_DIR | MAKE_REG | MAKE_SOCK | MAKE_FIFO | MAKE_SYM)
)  # fmt: skip
DEVICE = READ | WRITE_FILE | TRUNCATE | IOCTL_DEVICE
OF_FILES = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE  # a file's rule has no other


def version() -> int:
    """The version of the kernel's Landlock; OSError where there is none."""
    nothing = ctypes.c_void_p(None)
    return system_call(
        CREATE_RULESET, "Landlock", nothing, ctypes.c_size_t(0), ctypes.c_uint32(ASK_VERSION)
    )


def restrict(allowed: Iterable[tuple[str, int]]) -> int:
    """Refuse all but these rights below these paths from now on; returns Landlock's version.

    A path that is not there allows nothing. From version 6 on, processes outside get no signal
    either. Needs no_new_privs, or root.
    """
    found_version = version()
    if found_version < LEAST_VERSION:
        raise OSError(
            f"the kernel's Landlock is version {found_version}, expected {LEAST_VERSION} or later"
        )
    handled = (1 << RIGHTS_OF_VERSION.get(found_version, 16)) - 1
    scopes = ABSTRACT_SOCKETS | SIGNALS if found_version >= SCOPES_FROM else 0
    ruleset = _create(struct.pack("=QQQ", handled, 0, scopes), found_version)
    try:
        for path, rights in allowed:
            with suppress(FileNotFoundError):
                _allow(ruleset, path, rights & handled)
        system_call(RESTRICT_SELF, "Landlock", ctypes.c_int(ruleset), ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return found_version


def _create(attributes: bytes, found_version: int) -> int:
    size = len(attributes) if found_version >= SCOPES_FROM else 8
    return system_call(
        CREATE_RULESET, "Landlock", attributes, ctypes.c_size_t(size), ctypes.c_uint32(0)
    )


def _allow(ruleset: int, path: str, rights: int) -> None:
    place = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        if not stat.S_ISDIR(os.fstat(place).st_mode):
            rights &= OF_FILES
        rule = struct.pack("=Qi", rights, place)
        flags = (ctypes.c_int(PATH_BENEATH), rule, ctypes.c_uint32(0))
        system_call(ADD_RULE, f"Landlock, {path}", ctypes.c_int(ruleset), *flags)
    finally:
        os.close(place)
