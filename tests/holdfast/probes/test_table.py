"""Names of probes: bare ones, and those with a suite behind an @."""

import pytest

from holdfast.errors import InvalidPolicy, UnknownProbe
from holdfast.policy.text import parse_policy
from holdfast.probes.table import CATALOGUE, is_probe_name, spec_of


def policy(*lines: str) -> str:
    return "\n".join(("version: 1", "name: t", "checks:", *(f"  {line}" for line in lines)))


@pytest.mark.parametrize("name", CATALOGUE)
def test_a_bare_name_is_the_catalogues(name: str) -> None:
    assert spec_of(name) is CATALOGUE[name]


@pytest.mark.parametrize("name", [name for name, spec in CATALOGUE.items() if spec.rows])
def test_a_named_suite_replaces_the_probes_own_and_nothing_else(name: str) -> None:
    spec, own = spec_of(f"{name}@advbench"), CATALOGUE[name]
    assert spec.suite == "advbench"
    assert (spec.name, spec.metric, spec.items, spec.judge) == (
        (own.name, own.metric, own.items, own.judge)
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("harm.none@advbench", "unknown probe 'harm.none'"),
        ("harm.direct@", "cannot be a suite's name"),
        ("harm.direct@Adv Bench", "cannot be a suite's name"),
        ("harm.direct@../secrets", "cannot be a suite's name"),
        ("harm.direct@" + "a" * 41, "cannot be a suite's name"),
        ("harm.direct@a@b", "cannot be a suite's name"),
        ("task.retention@advbench", "takes no suite by name"),
        ("cap.lm_eval:", "cannot be a task's name"),
        ("cap.lm_eval:../arc", "cannot be a task's name"),
        ("cap.lm_eval:" + "a" * 53, "cannot be a task's name"),
        ("cap.lm_eval:arc@mmlu", "cannot be a task's name"),
        ("cap.lm_eval@mmlu", "takes no suite by name"),
        ("harm.direct:arc", "unknown probe 'harm.direct:arc'"),
    ],
)
def test_a_name_that_means_nothing_is_refused_in_a_policy(name: str, said: str) -> None:
    with pytest.raises(UnknownProbe, match=said):
        spec_of(name)
    with pytest.raises(InvalidPolicy, match=said):
        parse_policy(policy(f'"{name}": {{metric: error_rate, max_regression: 0.1}}'), source="t")


def test_a_task_of_the_harness_stands_behind_a_colon() -> None:
    spec, own = spec_of("cap.lm_eval:arc_easy"), CATALOGUE["cap.lm_eval"]
    assert (spec.name, spec.task, spec.items) == (own.name, "arc_easy", own.items)
    assert is_probe_name("cap.lm_eval:arc_easy")
    with pytest.raises(InvalidPolicy, match="names no task; name one as"):
        parse_policy(policy("cap.lm_eval: {metric: error_rate, max_regression: 0.1}"), source="t")


def test_checks_of_one_probe_stand_together_in_catalogue_order() -> None:
    understood = parse_policy(
        policy(
            "cap.knowledge@mmlu: {metric: error_rate, max_regression: 0.1}",
            "harm.direct@advbench: {metric: attack_success_rate, max_regression: 0.1}",
            "refusal.benign: {metric: false_refusal_rate, max_regression: 0.1}",
            "harm.direct: {metric: attack_success_rate, max_regression: 0.1}",
        ),
        source="t",
    )
    assert understood.probes(repair=False) == (
        "harm.direct",
        "harm.direct@advbench",
        "refusal.benign",
        "cap.knowledge@mmlu",
    )
