"""A template may be wrong in any way but two: it may not run for ever, nor fill the memory."""

import time

import pytest

from holdfast.errors import CheckpointRefused
from tests.support.tiny_llama import CHAT_TEMPLATE
from workers.inference.template_canary import check_template, render_canary

ENDLESS = """
{%- for a in range(90000) %}{% for b in range(90000) %}{% for c in range(90000) %}
{%- endfor %}{% endfor %}{% endfor %}"""


@pytest.mark.parametrize("template", [ENDLESS, "{{ 'a' * 4000000000 }}", "{{ 'a' * 2000000 }}"])
def test_what_does_not_end_is_refused(template: str) -> None:
    started = time.monotonic()
    with pytest.raises(CheckpointRefused, match="does not render one short conversation"):
        check_template(template)
    assert time.monotonic() - started < 60


@pytest.mark.parametrize(
    "template", [CHAT_TEMPLATE, "{{ raise_exception('no') }}", "{% if %}", "{{ nothing.at.all }}"]
)
def test_what_else_may_be_wrong_is_left_to_the_engine(template: str) -> None:
    check_template(template)


def test_it_renders_as_an_engine_does() -> None:
    assert "Is anybody there?" in render_canary(CHAT_TEMPLATE)
    marked = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% endfor %}"
    assert render_canary(marked) == "Is anybody there?"
    dated = "{{ strftime_now('%Y') }}{{ messages | tojson(indent=1) }}{% break %}"
    with pytest.raises(Exception, match="break"):
        render_canary(dated)
