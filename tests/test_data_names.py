"""Names that stand in files, databases, requests and command lines are those on record."""

import pytest

from tools.data_names import events, frozen, names, schema_fields

TODAY, ON_RECORD = names(), frozen()


@pytest.mark.parametrize("place", sorted(TODAY | ON_RECORD))
def test_no_name_that_is_data_is_renamed(place: str) -> None:
    now, before = set(TODAY.get(place, ())), set(ON_RECORD.get(place, ()))
    assert not before - now, "these stand in files and requests that exist; keep them"
    assert not now - before, "these are new: python -m tools.data_names"


def test_fields_are_found_behind_references_and_in_lists() -> None:
    pair = {"properties": {"name": {"enum": ["up", "down"]}}}
    schema = {
        "properties": {
            "pairs": {"items": {"$ref": "#/$defs/Pair"}},
            "by": {"anyOf": [{"additionalProperties": {"$ref": "#/$defs/Pair"}}, {"const": None}]},
        }
    }
    assert set(schema_fields(schema, {"Pair": pair})) == {
        *("pairs", "pairs[].name", "pairs[].name = up", "pairs[].name = down"),
        *("by", "by.*.name", "by.*.name = up", "by.*.name = down", "by = None"),
    }


def test_events_are_found_where_they_are_written() -> None:
    assert {"claimed", "claimed.worker", "verdict", "repaired"} <= set(events())
