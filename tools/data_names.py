"""Every name that stands in files, databases, requests and command lines: it outlives the code.

    python -m tools.data_names          put those that are new into tests/data/names.json

Classes, fields and values that are stored or sent may not be renamed with the code around them.
They stand in that file; a test compares it with the code. This command adds and never takes away.
"""

import ast
import dataclasses
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel

from holdfast.cli.command import Usage
from holdfast.cli.doctor import Finding
from holdfast.cli.table import COMMANDS
from holdfast.cli.waiting import GaveUpWaiting
from holdfast.db.tables import TableRow
from holdfast.errors import ERRORS
from holdfast.evidence import file as evidence
from holdfast.forecast.power import Lint, PowerRow
from holdfast.importers.install import Summary
from holdfast.job import FINISHED, EventKind
from holdfast.judges.agreement import Agreement
from holdfast.policy.model import GatePolicy
from holdfast.probes.engine import Backend, Completion, Continuation, Message, Sampling, Score
from holdfast.probes.question import ASK_KINDS, Converse, Dialogue, Drawn, Generate
from holdfast.probes.table import CATALOGUE
from holdfast.queue import HINT, QUEUES
from holdfast.readings import noise
from holdfast.readings.chain import Chain
from holdfast.readings.comparison import Comparison, ProbeFlips
from holdfast.repairs.plan import Plan
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from holdfast.suites import BUILT_IN
from holdfast.suites.items import ROW_TYPES
from holdfast.verdict.document import Verdict
from holdfast.verdict.replay import Change
from service import problems
from service.app import ROUTERS

ROOT = Path(__file__).resolve().parents[1]
FROZEN = ROOT / "tests" / "data" / "names.json"
TABLES = TableRow.metadata.sorted_tables
DOCUMENTS: dict[str, type[BaseModel]] = {
    "evidence manifest": evidence.Manifest,
    "evidence trial": evidence._TrialLine,  # noqa: SLF001  a line of the file, read nowhere else
    "evidence measure": evidence._MeasureLine,  # noqa: SLF001
    "verdict": Verdict,
    "policy": GatePolicy,
    "training plan": Plan,
    "noise floor": noise.Noise,
    "chain": Chain,
}
STORED: dict[str, type] = {  # dataclasses whose fields are keys of stored or printed JSON
    "generate": Generate,
    "converse": Converse,
    "continuation": Continuation,
    "drawn": Drawn,
    "message": Message,
    "dialogue": Dialogue,
    "completion": Completion,
    "score": Score,
    "backend": Backend,
    "sampling": Sampling,
    "judge agreement": Agreement,
    "doctor finding": Finding,
    "comparison of evidence": Comparison,
    "change of a probe": ProbeFlips,
    "power of a policy": Lint,
    "power of a check": PowerRow,
    "policy change": Change,
    "imported suite": Summary,
}


def names() -> dict[str, list[str]]:
    """The names of today by where they stand, in order."""
    document = api()
    lists: dict[str, Iterable[str]] = {
        **{f"fields of {name}": model_fields(model) for name, model in DOCUMENTS.items()},
        **{
            f"fields of {name}": (field.name for field in dataclasses.fields(kind))
            for name, kind in STORED.items()
        },
        "api": (
            f"{method.upper()} {path}"
            for path, operations in document["paths"].items()
            for method in operations
        ),
        "api operations": (  # which generated clients make functions of
            operation["operationId"]
            for operations in document["paths"].values()
            for operation in operations.values()
        ),
        "api components": (
            f"{name} {path}"
            for name, schema in document["components"]["schemas"].items()
            for path in ("", *schema_fields(schema, document["components"]["schemas"]))
        ),
        "tables": (f"{table.name}.{column.name}" for table in TABLES for column in table.columns),
        "commands": (
            f"{row.name} {flag}".strip()
            for row in COMMANDS
            for flag in ("", *(flag for flags, _ in row.arguments for flag in flags))
        ),
        "events": events(),
        "errors": (
            f"{kind.__name__} {kind.status} {kind.exit_code}"
            for kind in (*ERRORS.values(), Usage, GaveUpWaiting)
        ),
        "settings": Settings.model_fields,
        "kinds of asks": ASK_KINDS.values(),
        "types of rows": ROW_TYPES.values(),
        "probes": CATALOGUE,
        "suites": BUILT_IN,
        "scopes": SCOPES,
        "messages": (HINT, *QUEUES),
    }
    return {name: sorted(set(found)) for name, found in lists.items()}


def api() -> dict[str, Any]:
    """The OpenAPI document, of no server."""
    app = FastAPI(title="Holdfast")
    for router in ROUTERS:
        app.include_router(router)
    return problems.openapi(app)


def model_fields(model: type[BaseModel]) -> Iterator[str]:
    """Dotted paths of a model's fields, and the values that a field is limited to."""
    schema = model.model_json_schema()
    return schema_fields(schema, schema.get("$defs", {}))


def schema_fields(schema: dict[str, Any], defined: dict[str, Any], at: str = "") -> Iterator[str]:
    """The same of a JSON schema; `defined` are those that it refers to, by name."""
    if "$ref" in schema:
        yield from schema_fields(defined[schema["$ref"].rpartition("/")[2]], defined, at)
    for value in (*schema.get("enum", ()), *([schema["const"]] if "const" in schema else ())):
        yield f"{at} = {value}"
    for inner in (*schema.get("anyOf", ()), *schema.get("prefixItems", ())):
        yield from schema_fields(inner, defined, at)
    for name, below in (("[]", schema.get("items")), (".*", schema.get("additionalProperties"))):
        if isinstance(below, dict):
            yield from schema_fields(below, defined, f"{at}{name}")
    for name, field in schema.get("properties", {}).items():
        path = f"{at}.{name}" if at else name
        yield path
        yield from schema_fields(field, defined, path)


def events() -> Iterator[str]:
    """Kinds of events as the code writes them, and the keys of theirs that stand beside."""
    yield from (kind.value for kind in (*EventKind, *FINISHED))
    for package in ("holdfast", "service", "workers"):
        for file in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
                match node:
                    case ast.Call(
                        func=ast.Name("add_event") | ast.Attribute(attr="add_event"),
                        args=[
                            _,
                            _,
                            ast.Attribute(value=ast.Name("EventKind"), attr=name),
                            *document,
                        ],
                    ):
                        kind = EventKind[name].value
                        for part in document:
                            if isinstance(part, ast.Dict):
                                yield from (
                                    f"{kind}.{key.value}"
                                    for key in part.keys
                                    if isinstance(key, ast.Constant)
                                )


def frozen() -> dict[str, list[str]]:
    """The names on record."""
    document: dict[str, list[str]] = json.loads(FROZEN.read_text(encoding="utf-8"))
    return document


def main() -> None:
    """Add what is new; exit with what is gone, since it stands in somebody's files."""
    before, now = frozen() if FROZEN.is_file() else {}, names()
    gone = [
        f"{place}: {name}"
        for place, on_record in before.items()
        for name in on_record
        if name not in now.get(place, ())
    ]
    if gone:
        sys.exit("these stand in files and requests that exist; keep them:\n" + "\n".join(gone))
    FROZEN.write_text(json.dumps(now, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
