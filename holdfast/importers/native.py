"""Holdfast's own form: one item a line, with the keys of its row type (docs/suites.md).

`cluster` may be left out where every item is a behaviour of its own.
"""

import json

from holdfast.importers.records import Record
from holdfast.suites import Row, form_of, parse_item
from holdfast.suites.items import FORMS

COLUMNS = tuple(("id", key) for key in FORMS)


def native(record: Record) -> Row:
    """A row as it stands; an unknown key is refused like everywhere in a suite."""
    line = json.dumps({"cluster": record.text("id"), **record.fields}, ensure_ascii=False)
    return parse_item(line, form_of(line, record.place), record.place)
