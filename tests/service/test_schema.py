"""The OpenAPI document against the application: generated requests, every reply as promised."""

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.core.errors import SchemathesisError
from schemathesis.specs.openapi.checks import positive_data_acceptance

from holdfast.scopes import SCOPES
from tests.service.conftest import MakeKey

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)

EXAMPLES = 8  # an operation; some thirty operations


def test_every_reply_is_as_documented(app: FastAPI, make_key: MakeKey) -> None:
    schema = schemathesis.openapi.from_asgi("/openapi.json", app)
    headers = make_key(*SCOPES)
    problems = []
    for result in schema.get_all_operations():
        operation = result.ok()
        if operation.path.endswith("/events"):
            continue  # a stream lasts as long as its job

        @given(case=operation.as_strategy())
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            derandomize=True,
            database=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def check(case: schemathesis.Case) -> None:
            case.call_and_validate(headers=headers, excluded_checks=[positive_data_acceptance])

        try:
            check()
        except (AssertionError, SchemathesisError, BaseExceptionGroup) as error:
            problems.append(f"{operation.label}: {error}")
    assert not problems, "\n\n".join(problems)


def test_the_document_is_whole(app: FastAPI) -> None:
    document = app.openapi()
    assert document["openapi"].startswith("3.1")
    for path, operations in document["paths"].items():
        for operation in operations.values():
            assert operation["description"], path
            assert operation["tags"], path
