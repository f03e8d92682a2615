"""The scopes of a key, and the roles that bundle them; clients name both and hold no database.

`admin` has every scope but `content:read`: who runs the server need not read what models said.
"""

from collections.abc import Collection, Iterable
from typing import Literal, get_args

Scope = Literal[
    "jobs:read",
    "jobs:write",
    "jobs:cancel",
    "waivers:write",
    "baselines:write",
    "policies:write",
    "projects:write",
    "audit:read",
    "content:read",
    "admin",
]
SCOPES: tuple[Scope, ...] = get_args(Scope)

Role = Literal["read", "submit", "review", "release", "admin", "content"]
ROLES: dict[Role, tuple[Scope, ...]] = {
    "read": ("jobs:read",),
    "submit": ("jobs:read", "jobs:write"),
    "review": ("jobs:read", "jobs:cancel", "waivers:write", "audit:read"),
    "release": ("jobs:read", "baselines:write", "policies:write", "projects:write", "audit:read"),
    "admin": ("admin",),
    "content": ("jobs:read", "content:read"),
}


def scopes_of_roles(roles: Iterable[Role]) -> set[Scope]:
    """Every scope that one of these roles has."""
    return {scope for role in roles for scope in ROLES[role]}


def held_scopes(scopes: Collection[str]) -> set[str]:
    """The scopes that a key with these may act with: `admin` stands for all but `content:read`."""
    return {*scopes, *SCOPES} - ({"content:read"} - {*scopes}) if "admin" in scopes else {*scopes}


def roles_with(scope: str) -> list[Role]:
    """The roles that have a scope, for whoever lacks it."""
    return [role for role, scopes in ROLES.items() if scope in held_scopes(scopes)]
