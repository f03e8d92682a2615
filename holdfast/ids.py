"""Ids that sort by time and say what they name: `eval_0190f0c1a2b37c3d9e5f60718293a4b5`.

The hexadecimal part is a UUIDv7 (RFC 9562): 48 bits of milliseconds, then random bits.
"""

import re
import secrets
import time
from typing import Literal, get_args

Prefix = Literal["ckpt", "eval", "rem", "pol", "key", "wvr"]
ALIAS = "alias:"
NOT_A_PATH = re.compile(rf"{ALIAS}.*|({'|'.join(get_args(Prefix))})_[0-9a-f]{{32}}", re.DOTALL)


def is_id(text: str, prefix: Prefix) -> bool:
    """Whether a text is an id of this kind; a folder may well be called ckpt_500."""
    return re.fullmatch(rf"{prefix}_[0-9a-f]{{32}}", text) is not None


def names_no_path(text: str) -> bool:
    """Whether a text is an id of any kind or an alias, even where a folder has that very name.

    A repository can hold such a folder; `./` before it makes it a path.
    """
    return NOT_A_PATH.fullmatch(text) is not None


def new_id(prefix: Prefix) -> str:
    """A fresh id; two of one millisecond are in no particular order."""
    milliseconds = time.time_ns() // 1_000_000
    random = secrets.randbits(74)
    value = (
        (milliseconds & ((1 << 48) - 1)) << 80
        | 0x7 << 76
        | (random >> 62) << 64
        | 0b10 << 62
        | random & ((1 << 62) - 1)
    )
    return f"{prefix}_{value:032x}"
