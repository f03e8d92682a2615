"""A command on a kernel that refuses some system calls, as containers and old kernels do.

python -m tests.support.refusing_kernel unshare,landlock COMMAND...
"""

import ctypes
import errno
import os
import struct
import sys

UNSHARE = {"x86_64": 272, "aarch64": 97}
CALLS = {
    "unshare": (UNSHARE.get(os.uname().machine, 0), errno.EPERM),
    "landlock": (444, errno.ENOSYS),
}
LOAD, EQUAL, RETURN = 0x20, 0x15, 0x06  # linux/bpf_common.h
ALLOW, REFUSE = 0x7FFF0000, 0x00050000  # linux/seccomp.h
SET_SECCOMP, SET_NO_NEW_PRIVS, FILTER = 22, 38, 2


def refuse(names: list[str]) -> None:
    """Have the kernel refuse these calls to this process and all that it starts."""
    filters = [struct.pack("=HBBI", LOAD, 0, 0, 0)]
    for number, error in (CALLS[name] for name in names):
        filters.append(struct.pack("=HBBI", EQUAL, 0, 1, number))
        filters.append(struct.pack("=HBBI", RETURN, 0, 0, REFUSE | error))
    filters.append(struct.pack("=HBBI", RETURN, 0, 0, ALLOW))
    code = ctypes.create_string_buffer(b"".join(filters))
    program = struct.pack("@HP", len(filters), ctypes.addressof(code))
    library = ctypes.CDLL(None, use_errno=True)
    zero = ctypes.c_ulong(0)
    if library.prctl(SET_NO_NEW_PRIVS, ctypes.c_ulong(1), zero, zero, zero):
        raise OSError(ctypes.get_errno(), "no_new_privs")
    if library.prctl(SET_SECCOMP, ctypes.c_ulong(FILTER), program, zero, zero):
        raise OSError(ctypes.get_errno(), "seccomp")


if __name__ == "__main__":
    refuse(sys.argv[1].split(","))
    os.execv(sys.argv[2], sys.argv[2:])
