"""Names that look alike are one name, and those of the trail are nobody's."""

import pytest

from holdfast.errors import CallerError
from holdfast.principals import comparable, person_named, require_project_name
from holdfast.projects.people import may_be_one_person


@pytest.mark.parametrize("name", ["Ann", " ann ", "ＡＮＮ", "aNN"])  # noqa: RUF001 - full width
def test_a_person_has_one_form(name: str) -> None:
    assert person_named(name) == "ann"


@pytest.mark.parametrize(
    "name",
    ["", "  ", "ann\u200b", "a\u202enn", "ann\n", "operator", "Server", f"key_{'0' * 32}"],
)
def test_what_could_be_mistaken_is_nobodys_name(name: str) -> None:
    with pytest.raises(CallerError, match="the principal"):
        person_named(name)


@pytest.mark.parametrize("other", ["Ann", "ann\u200b", " ANN", "ａｎｎ"])  # noqa: RUF001
def test_names_from_before_there_was_a_form_are_compared_in_it(other: str) -> None:
    assert comparable(other) == "ann"
    assert may_be_one_person("ann", other)
    assert not may_be_one_person("bob", other)


@pytest.mark.parametrize("name", ["", "a/b", "a\n", "-a", "é", "a" * 65, "a b"])
def test_a_projects_name_fits_a_path(name: str) -> None:
    with pytest.raises(CallerError, match="cannot be a project's name"):
        require_project_name(name)


@pytest.mark.parametrize("name", ["demo", "A.b_c-1", "a" * 64])
def test_usual_project_names_stay(name: str) -> None:
    assert require_project_name(name) == name
