"""The scopes of a key; not with the keys, since clients name scopes and hold no database."""

from typing import Literal, get_args

Scope = Literal[
    "jobs:read", "jobs:write", "baselines:write", "policies:write", "content:read", "admin"
]
SCOPES: tuple[Scope, ...] = get_args(Scope)
