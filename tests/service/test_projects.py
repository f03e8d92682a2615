"""Rules of a project, over HTTP: who may set them, and what they do to a submission."""

import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fastapi import FastAPI
from fastapi.testclient import TestClient

from holdfast.db.evaluations import get_evaluation
from holdfast.db.session import reading, transaction
from holdfast.projects.audit import Actor, head_of, record
from holdfast.projects.chain import verify_signature
from holdfast.projects.rules import UNCHANGED
from holdfast.projects.signed_heads import read_signed_heads, sign_moved_heads
from holdfast.scopes import ROLES, SCOPES
from holdfast.settings import Settings
from holdfast.verdict.terms import Terms
from tests.service.conftest import MakeKey
from tests.support.folders import write_checkpoint

PROJECT = "/v1/projects/demo"
POLICY = """\
version: 1
name: strict
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.02}
"""


def put_rules(api: TestClient, **rules: Any) -> Any:
    """Set the project's rules, whatever they were."""
    version = api.get(PROJECT).json()["version"]
    headers = {"If-Match": f'"{version}"'} if version else {}
    return api.put(PROJECT, json=rules, headers=headers)


def terms_of(app: FastAPI, reply: Any) -> Terms | None:
    """The terms that an accepted evaluation is judged by."""
    assert reply.status_code == 202, reply.text
    with reading(app.state.database) as session:
        return get_evaluation(session, reply.json()["id"]).terms


def register(api: TestClient, folder: Path) -> str:
    return str(api.post("/v1/checkpoints", json={"uri": str(folder)}).json()["id"])


@pytest.fixture
def production(api: TestClient, models: Path) -> str:
    """The checkpoint `base` as `production`, by id."""
    checkpoint = register(api, models / "base")
    api.put(f"{PROJECT}/baselines/production", json={"checkpoint": checkpoint})
    return checkpoint


def test_a_project_without_rules_demands_nothing(
    app: FastAPI, api: TestClient, body: dict[str, Any]
) -> None:
    assert api.get(PROJECT).json()["version"] == 0
    assert terms_of(app, api.post("/v1/evaluations", json=body)) is None


def test_rules_are_set_whole_by_whoever_saw_them(api: TestClient) -> None:
    first = put_rules(api, waiver_days=7)
    assert (first.status_code, first.headers["etag"]) == (200, '"1"')
    assert api.put(PROJECT, json={}).status_code == 412
    assert api.put(PROJECT, json={}, headers={"If-Match": '"7"'}).status_code == 412
    assert put_rules(api).json()["waiver_days"] == 30


def test_any_version_matches_whatever_rules_there_are(api: TestClient) -> None:
    whatever = {"If-Match": "*"}
    assert api.put(PROJECT, json={}, headers=whatever).status_code == 412
    assert put_rules(api, waiver_days=7).json()["version"] == 1
    assert api.put(PROJECT, json={}, headers=whatever).json()["version"] == 2


def test_a_pinned_policy_is_the_only_one(
    app: FastAPI, api: TestClient, body: dict[str, Any], make_key: MakeKey
) -> None:
    ann = api.post("/v1/keys", json={"name": "n", "roles": ["release"], "principal": "ann"}).json()
    headers = {"Authorization": f"Bearer {ann['token']}"}
    pinned = api.put(PROJECT, json={"policy": POLICY}, headers=headers).json()
    assert (pinned["policy_set_by"], pinned["policy_set_at"] is None) == ("ann", False)
    submitter = make_key(*ROLES["submit"])
    refused = api.post("/v1/evaluations", json=body, headers=submitter)
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    assert "its own policy strict" in refused.json()["detail"]
    for same in ("pinned", POLICY, f"# the same\n{POLICY}", pinned["policy"]):
        reply = api.post("/v1/evaluations", json={**body, "policy": same}, headers=submitter)
        terms = terms_of(app, reply)
        assert reply.json()["policy"] == pinned["policy"]
        assert terms is not None
        assert (terms.obstacles, terms.text_waivers) == ((), True)
        assert "set by ann" in terms.remarks[0]


def test_without_a_pinned_policy_there_is_none_to_name(
    api: TestClient, body: dict[str, Any]
) -> None:
    reply = api.post("/v1/evaluations", json={**body, "policy": "pinned"})
    assert (reply.status_code, reply.json()["title"]) == (422, "InvalidPolicy")


@pytest.mark.parametrize(
    ("change", "obstacle"),
    [
        ({}, None),
        ({"baseline": "tuned"}, "requires the baseline 'production'"),
        ({"candidate": "base", "baseline": "base"}, None),
    ],
)
def test_another_baseline_than_the_required_one_cannot_pass(
    app: FastAPI,
    api: TestClient,
    body: dict[str, Any],
    models: Path,
    production: str,
    change: dict[str, str],
    obstacle: str | None,
) -> None:
    put_rules(api, baseline="production")
    folders = {side: str(models / name) for side, name in change.items()}
    terms = terms_of(app, api.post("/v1/evaluations", json={**body, **folders}))
    assert terms is not None
    assert not terms.text_waivers
    if obstacle is None:
        assert terms.obstacles == ()
    else:
        assert obstacle in terms.obstacles[0]
        assert production in terms.obstacles[0]
    assert (UNCHANGED in terms.remarks) == ("candidate" in change)


def test_an_alias_is_the_required_baseline_too(
    app: FastAPI, api: TestClient, body: dict[str, Any], production: str
) -> None:
    put_rules(api, baseline="production")
    for named in ({"alias": "production"}, production):
        terms = terms_of(app, api.post("/v1/evaluations", json={**body, "baseline": named}))
        assert terms is not None
        assert terms.obstacles == ()


def test_an_anchor_of_ones_own_cannot_pass(
    app: FastAPI, api: TestClient, body: dict[str, Any], models: Path, production: str
) -> None:
    put_rules(api, anchor="production")
    own = {**body, "anchor": str(models / "tuned")}
    terms = terms_of(app, api.post("/v1/evaluations", json=own))
    assert terms is not None
    assert "requires the anchor 'production'" in terms.obstacles[0]
    pinned = api.post("/v1/evaluations", json=body)
    assert pinned.json()["anchor"] == production
    assert terms_of(app, pinned) == Terms(text_waivers=False)


def test_a_required_baseline_that_points_nowhere_refuses_the_submission(
    api: TestClient, body: dict[str, Any]
) -> None:
    put_rules(api, baseline="gone")
    reply = api.post("/v1/evaluations", json=body)
    assert (reply.status_code, reply.json()["title"]) == (409, "Conflict")
    assert "'gone', which points nowhere" in reply.json()["detail"]
    assert api.get("/v1/evaluations").json()["data"] == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"template": "candidate"}, "chat template of the candidate"),
        ({"template_arguments": {"mood": "kind"}}, "template argument mood"),
    ],
)
def test_which_template_renders_is_the_pinned_policys_to_allow(
    app: FastAPI, api: TestClient, body: dict[str, Any], change: dict[str, Any], words: str
) -> None:
    put_rules(api, policy=POLICY)
    asked = {**body, "policy": "pinned"}
    terms = terms_of(app, api.post("/v1/evaluations", json={**asked, **change}))
    assert terms is not None
    assert words in terms.obstacles[0]
    put_rules(
        api,
        policy=f"{POLICY}templates: [baseline, candidate]\ntemplate_arguments: {{mood: kind}}\n",
    )
    terms = terms_of(app, api.post("/v1/evaluations", json={**asked, **change}))
    assert terms is not None
    assert terms.obstacles == ()


def test_releases_change_policy_and_aliases_and_only_admins_the_rest(
    api: TestClient, make_key: MakeKey
) -> None:
    release, admin = make_key(*ROLES["release"]), make_key("admin")
    for rules in ({"separate_duties": True}, {"unwaivable": ["harm.direct"]}, {"waiver_days": 90}):
        refused = api.put(PROJECT, json=rules, headers=release)
        assert (refused.status_code, "admin" in refused.json()["detail"]) == (403, True)
    assert api.put(PROJECT, json={"separate_duties": True}, headers=admin).status_code == 200
    kept = {"separate_duties": True, "policy": POLICY}
    assert api.put(PROJECT, json=kept, headers={**release, "If-Match": '"1"'}).status_code == 200
    loosened = api.put(PROJECT, json={"policy": POLICY}, headers={**release, "If-Match": '"2"'})
    assert loosened.status_code == 403


def test_a_repair_of_an_old_failure_is_refused_where_the_rules_are_others_now(
    app: FastAPI, api: TestClient, body: dict[str, Any]
) -> None:
    failed = api.post("/v1/evaluations", json=body).json()["id"]
    with transaction(app.state.database) as session:
        get_evaluation(session, failed).verdict = "fail"
    wanted = {"evaluation": failed, "recipe": "wise_ft"}
    assert api.post("/v1/remediations", json=wanted).status_code == 202
    put_rules(api, policy=POLICY)
    refused = api.post("/v1/remediations", json=wanted)
    assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
    assert "judges by its own policy strict" in refused.json()["detail"]
    put_rules(api, baseline="production")
    checkpoint = api.get(f"/v1/evaluations/{failed}").json()["candidate"]
    api.put(f"{PROJECT}/baselines/production", json={"checkpoint": checkpoint})
    moved = api.post("/v1/remediations", json=wanted)
    assert (moved.status_code, "could not pass" in moved.json()["detail"]) == (403, True)


def test_an_unwaivable_probe_covers_its_suites_and_a_suite_may_be_named_alone(
    api: TestClient,
) -> None:
    for name in ("cap.knowledge", "cap.knowledge@mine", "cap.lm_eval:arc_easy"):
        assert put_rules(api, unwaivable=[name]).is_success, name


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        ({"unwaivable": ["harm.typo"]}, 422),
        ({"policy": "no-such-policy"}, 422),
        ({"policy": "pol_" + "0" * 32}, 404),
        ({"roots": ["/"]}, 422),
        ({"waiver_days": 0}, 422),
    ],
)
def test_rules_that_mean_nothing_are_refused_whole(
    api: TestClient, rules: dict[str, Any], status: int
) -> None:
    assert put_rules(api, **rules).status_code == status
    assert api.get(PROJECT).json()["version"] == 0


def test_a_project_reads_its_own_roots_and_its_own_repairs(
    app: FastAPI, api: TestClient, models: Path
) -> None:
    write_checkpoint(models / "ours" / "base")
    write_checkpoint(app.state.settings.repairs / f"rem_{'0' * 32}", value=2.0)
    put_rules(api, roots=[str(models / "ours")])
    assert api.post("/v1/checkpoints", json={"uri": str(models / "ours" / "base")}).is_success
    outside = api.post("/v1/checkpoints", json={"uri": str(models / "base")})
    assert "outside the roots of project demo" in outside.json()["detail"]
    foreign = app.state.settings.repairs / f"rem_{'0' * 32}"
    refused = api.post("/v1/checkpoints", json={"uri": str(foreign)})
    assert "is no repair of project demo" in refused.json()["detail"]


@pytest.mark.parametrize("where", ["roots", "repair"])
def test_a_link_in_a_folder_leads_nowhere_that_the_folder_itself_may_not_lie(
    app: FastAPI, api: TestClient, models: Path, where: str
) -> None:
    foreign = models / "theirs" if where == "roots" else app.state.settings.repairs
    source = write_checkpoint(foreign / f"rem_{'0' * 32}", value=3.0)
    own = write_checkpoint(models / "ours" / "mine")
    put_rules(api, roots=[str(models / "ours")])
    assert api.post("/v1/checkpoints", json={"uri": str(own)}).is_success
    (own / "model.safetensors").unlink()
    (own / "model.safetensors").symlink_to(source / "model.safetensors")
    refused = api.post("/v1/checkpoints", json={"uri": str(own)})
    expected = "outside the roots" if where == "roots" else "is no repair of project demo"
    assert (refused.status_code, expected in refused.json()["detail"]) == (422, True)


def test_two_people_where_duties_are_separate(
    api: TestClient, body: dict[str, Any], make_key: MakeKey
) -> None:
    def key(person: str | None) -> dict[str, str]:
        wanted = {"name": "n", "scopes": [*SCOPES], "principal": person}
        token = api.post("/v1/keys", json=wanted).json()["token"]
        return {"Authorization": f"Bearer {token}"}

    put_rules(api, separate_duties=True)
    ann, bob = key("ann"), key("bob")
    candidate = api.post("/v1/evaluations", json=body, headers=ann).json()["candidate"]
    move = {"json": {"checkpoint": candidate}}
    for whoever in (ann, key("ann"), key(None), make_key(*SCOPES)):
        refused = api.put(f"{PROJECT}/baselines/next", **move, headers=whoever)
        assert (refused.status_code, refused.json()["title"]) == (403, "Forbidden")
        assert "wants two people" in refused.json()["detail"]
    assert api.put(f"{PROJECT}/baselines/next", **move, headers=bob).status_code == 200


WITH_WAIVER = f"""{POLICY}waivers:
  - {{check: harm.direct, owner: ann, reason: "it will do", expires: 2099-01-01}}
"""


@pytest.mark.parametrize("rules", [{"separate_duties": True}, {"unwaivable": ["cap.knowledge"]}])
def test_rules_on_waivers_hold_for_the_text_that_a_submitter_brings(
    app: FastAPI, api: TestClient, body: dict[str, Any], rules: dict[str, Any]
) -> None:
    put_rules(api, **rules)
    terms = terms_of(app, api.post("/v1/evaluations", json={**body, "policy": WITH_WAIVER}))
    assert terms is not None
    assert not terms.text_waivers
    assert terms.unwaivable == tuple(rules.get("unwaivable", ()))


@pytest.mark.parametrize(("submitter", "counts"), [("ann", False), (None, False), ("bob", True)])
def test_nobody_waives_their_own_model_by_pinning_a_text_where_duties_are_separate(
    app: FastAPI, api: TestClient, body: dict[str, Any], submitter: str | None, counts: bool
) -> None:
    def key(person: str | None) -> dict[str, str]:
        wanted = {"name": "n", "scopes": [*SCOPES], "principal": person}
        return {"Authorization": f"Bearer {api.post('/v1/keys', json=wanted).json()['token']}"}

    rules = {"separate_duties": True, "policy": WITH_WAIVER}
    assert api.put(PROJECT, json=rules, headers=key("ann")).status_code == 200
    asked = {**body, "policy": "pinned"}
    terms = terms_of(app, api.post("/v1/evaluations", json=asked, headers=key(submitter)))
    assert terms is not None
    assert terms.text_waivers == counts


def test_what_is_tried_again_is_held_to_the_rules_of_now(
    app: FastAPI, api: TestClient, body: dict[str, Any], production: str, models: Path
) -> None:
    asked = {**body, "baseline": str(models / "tuned")}
    evaluation = api.post("/v1/evaluations", json=asked).json()["id"]
    path = f"/v1/evaluations/{evaluation}"
    api.post(f"{path}:cancel")
    put_rules(api, baseline="production")
    assert api.post(f"{path}:retry").status_code == 200
    with reading(app.state.database) as session:
        terms = get_evaluation(session, evaluation).terms
    assert terms is not None
    assert production in terms.obstacles[0]
    api.post(f"{path}:cancel")
    put_rules(api, policy=POLICY)
    assert api.post(f"{path}:retry").status_code == 403


def test_acts_are_on_record_with_who_and_from_where(api: TestClient, body: dict[str, Any]) -> None:
    submitted = api.post("/v1/evaluations", json=body).json()
    api.post(f"/v1/evaluations/{submitted['id']}:cancel")
    put_rules(api, waiver_days=7)
    events = api.get("/v1/audit-events").json()["data"]
    assert [event["action"] for event in events] == [
        "evaluation.submit",
        "evaluation.cancel",
        "project.change",
    ]
    assert events[0]["target"] == submitted["id"]
    assert events[0]["after"]["candidate"] == submitted["candidate"]
    assert all(event["key_id"].startswith("key_") for event in events)
    assert events[0]["address"] == "192.0.2.7"
    assert events[2]["before"]["waiver_days"] == 30
    head = api.get("/v1/audit-head").json()
    assert (head["seq"], head["digest"]) == (3, events[2]["digest"])


def test_the_server_signs_heads_by_itself_and_gives_each_project_its_own(
    app: FastAPI, settings: Settings
) -> None:
    mine, others = (Actor(project, None, authenticated="operator") for project in ("demo", "other"))
    for actor in (mine, others, mine):
        with transaction(app.state.database) as session:
            record(session, actor, "baseline.move", "b")
            head = head_of(session, "demo")
    with TestClient(app):
        pass  # what is due when it starts is signed before it has ended
    (signed,) = read_signed_heads(settings.home, "demo")
    verify_signature(signed.head, signed.signature, signed.public_key)
    assert signed.head == head
    assert stat.S_IMODE((settings.home / "audit-heads.jsonl").stat().st_mode) == 0o600


def test_heads_that_were_signed_are_read_page_by_page(
    app: FastAPI, api: TestClient, settings: Settings
) -> None:
    for hours in range(3):
        put_rules(api, waiver_days=7 + hours)
        moment = datetime.now(UTC) + timedelta(hours=1 + hours)
        sign_moved_heads(app.state.database, settings.home, app.state.signing_key, moment)
    first = api.get("/v1/audit-heads?limit=2").json()
    rest = api.get(f"/v1/audit-heads?limit=2&cursor={first['next_cursor']}").json()
    assert [head["seq"] for head in (*first["data"], *rest["data"])] == [1, 2, 3]
    assert (first["has_more"], rest["has_more"]) == (True, False)


def test_what_is_refused_leaves_no_act(api: TestClient, body: dict[str, Any]) -> None:
    api.post("/v1/evaluations", json={**body, "policy": "no-such-policy"})
    api.put(f"{PROJECT}/baselines/x", json={"checkpoint": "ckpt_" + "0" * 32})
    assert api.get("/v1/audit-events").json()["data"] == []
