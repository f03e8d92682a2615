"""The rows of the command line for whoever runs a server: keys, aliases, rules, waivers, the trail.

Nothing here imports what a command needs.
"""

from pathlib import Path

from holdfast.cli.arguments import ALIAS, PROJECT
from holdfast.cli.command import Command, argument
from holdfast.scopes import ROLES, SCOPES

CHECKPOINT = argument("checkpoint", help="ckpt_..., or a folder to register")

OPERATOR_COMMANDS = (
    Command(
        "keys create",
        "make an API key; it is shown once",
        "holdfast.cli.admin:keys_create",
        (
            argument("--name", required=True),
            argument("--role", action="append", choices=tuple(ROLES), dest="roles", default=[]),
            argument("--scopes", nargs="+", metavar="SCOPE", default=[], help=", ".join(SCOPES)),
            argument("--principal", metavar="PERSON", help="whom it is for; without, its maker"),
            argument("--days", type=int, help="until it expires; without, it does not"),
            argument(
                "--database", action="store_true", help="write to the database itself: first key"
            ),
            PROJECT,
        ),
    ),
    Command("keys list", "list the project's keys", "holdfast.cli.admin:keys_list"),
    Command(
        "keys revoke",
        "end a key",
        "holdfast.cli.admin:keys_revoke",
        (argument("id", metavar="KEY_ID"),),
    ),
    Command(
        "baseline get", "where an alias points", "holdfast.cli.admin:baseline_get", (ALIAS, PROJECT)
    ),
    Command(
        "baseline set",
        "point an alias at a checkpoint",
        "holdfast.cli.admin:baseline_set",
        (
            ALIAS,
            CHECKPOINT,
            argument(
                "--adapter", metavar="DIR", help="a LoRA adapter, of which the folder is the base"
            ),
            argument("--parent", help="what it was made from (safe_merge reads it)"),
            argument("--seen-version", type=int, help="refuse if the alias is not at this version"),
            PROJECT,
        ),
    ),
    Command(
        "baseline history",
        "every move of an alias",
        "holdfast.cli.admin:baseline_history",
        (ALIAS, PROJECT),
    ),
    Command(
        "project show", "the rules of a project", "holdfast.cli.projects:project_show", (PROJECT,)
    ),
    Command(
        "project set",
        "change the rules that are named, and leave the others",
        "holdfast.cli.projects:project_set",
        (
            PROJECT,
            argument("--policy", help="the only policy: a file, a shipped name, pol_..., or none"),
            argument("--baseline", metavar="ALIAS", help="that every evaluation names, or none"),
            argument("--anchor", metavar="ALIAS", help="that every evaluation names, or none"),
            argument("--separate-duties", choices=("yes", "no"), help="two people to ship"),
            argument("--unwaivable", nargs="*", metavar="CHECK", help="checks never waived"),
            argument("--waiver-days", type=int, metavar="DAYS", help="the longest waiver"),
            argument("--roots", nargs="+", metavar="DIR", help="where its checkpoints may lie"),
        ),
    ),
    Command(
        "waivers give",
        "let one checkpoint ship although a check does not pass",
        "holdfast.cli.projects:waivers_give",
        (
            CHECKPOINT,
            argument("check", help="such as harm.direct"),
            argument("--reason", required=True),
            argument("--days", type=float, default=7.0, help="until it expires (default: 7)"),
        ),
    ),
    Command("waivers list", "the project's waivers", "holdfast.cli.projects:waivers_list"),
    Command(
        "waivers revoke",
        "end a waiver",
        "holdfast.cli.projects:waivers_revoke",
        (argument("id", metavar="WAIVER_ID"),),
    ),
    Command(
        "audit export",
        "every act in the project, and the signed head, as JSON lines",
        "holdfast.cli.audit:audit_export",
    ),
    Command(
        "audit verify",
        "is the trail whole: on the server, or in an export",
        "holdfast.cli.audit:audit_verify",
        (
            argument("file", type=Path, nargs="?", help="an export; else the server's trail"),
            argument(
                *("--head",),
                type=Path,
                metavar="FILE",
                help="kept from earlier: a head, an export, or a server's audit-heads.jsonl",
            ),
            argument(
                *("--trusted-key",),
                action="append",
                metavar="KEY",
                help="a public key of your servers, or a file of them; else no key is compared",
            ),
        ),
    ),
)
