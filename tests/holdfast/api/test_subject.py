"""A verdict counts only for what was submitted: against the real service, and one that lies."""

import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from holdfast.api import wire
from holdfast.api.client import Client
from holdfast.api.subject import Subject, require_about, require_submitted, subject_of
from holdfast.cli import main
from holdfast.db.keys import create_key, read_pepper
from holdfast.db.session import transaction
from holdfast.errors import HarnessError
from holdfast.evidence.file import gather
from holdfast.ids import new_id
from holdfast.policy.text import parse_policy
from holdfast.scopes import SCOPES
from holdfast.settings import Settings
from holdfast.verdict.decide import decide
from holdfast.verdict.document import Verdict
from service.app import create_app
from tests.support.evidence import manifest, share, trials
from tests.support.folders import write_checkpoint, write_tensors
from tests.support.listening import listening

POLICY = """\
version: 1
name: ours
checks:
  harm.direct: {metric: attack_success_rate, max_regression: 0.10}
"""
LAXER = POLICY.replace("0.10", "0.90")


pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


@pytest.fixture
def service(settings: Settings) -> Iterator[tuple[str, str]]:
    """The URL of a real service, and a key that may do everything."""
    app = create_app(settings)
    with transaction(app.state.database) as session:
        made = create_key(session, read_pepper(settings), "demo", name="t", scopes=SCOPES)
    with listening(app) as url:
        yield url, made.token


@pytest.fixture
def client(service: tuple[str, str]) -> Iterator[Client]:
    with Client(*service) as client:
        yield client


@pytest.fixture
def models(settings: Settings) -> Path:
    folder = settings.home / "models"
    for value, name in enumerate(("base", "tuned", "other")):
        write_checkpoint(folder / name, value=value)
    lora = folder / "lora"
    lora.mkdir()
    factors = {"lora_A": (1, 2), "lora_B": (2, 1)}
    module = "base_model.model.model.layers.0.q_proj"
    write_tensors(
        lora / "adapter_model.safetensors",
        {f"{module}.{name}.weight": shape for name, shape in factors.items()},
    )
    return folder


def wanted(models: Path, **changes: Any) -> wire.NewEvaluation:
    fields = {
        "candidate": str(models / "tuned"),
        "baseline": str(models / "base"),
        "policy": POLICY,
        "tier": "demo",
    }
    return wire.NewEvaluation.model_validate(fields | changes)


def judged(digests: dict[str, str], policy: str = POLICY) -> Verdict:
    """A pass on checkpoints of these digests."""
    files = {
        side: gather(
            manifest(side, checkpoint={"name": side, "digest": digests[side]}),
            trials("harm.direct", share(0, 200)),
        )
        for side in ("baseline", "candidate")
    }
    verdict = decide(parse_policy(policy, source="test"), files["baseline"], files["candidate"])
    assert verdict.verdict == "pass"
    return verdict


def digests_of(subject: Subject) -> dict[str, str]:
    return {side: checkpoint.digest for side, checkpoint in subject.sides.items()}


def test_what_was_submitted_is_what_was_registered_and_its_verdict_counts(
    client: Client, models: Path
) -> None:
    request = wanted(models)
    subject = subject_of(client, client.submit(request))
    require_submitted(request, subject)
    verdict = judged(digests_of(subject))
    assert require_about(verdict, subject) is verdict


def test_ids_and_shipped_policies_are_compared_too(client: Client, models: Path) -> None:
    first = subject_of(client, client.submit(wanted(models)))
    ids = {side: checkpoint.id for side, checkpoint in first.sides.items()}
    for changes in (ids | {"policy": first.policy.id}, {"policy": "demo"}):
        request = wanted(models, **changes)
        require_submitted(request, subject_of(client, client.submit(request)))


def test_the_policy_that_a_project_pins_is_the_servers_to_know(
    client: Client, models: Path
) -> None:
    subject = subject_of(client, client.submit(wanted(models)))
    require_submitted(wanted(models, policy="pinned"), subject)


def test_a_folder_that_only_the_server_has_is_the_servers_to_know(
    client: Client, models: Path
) -> None:
    subject = subject_of(client, client.submit(wanted(models)))
    for named in ("/only/on/the/server", f"file://{models / 'other'}"):
        require_submitted(wanted(models, candidate=named), subject)


@pytest.mark.parametrize("side", ["candidate", "baseline", "anchor"])
def test_a_verdict_on_another_checkpoint_is_an_error(
    client: Client, models: Path, side: str
) -> None:
    request = wanted(models, anchor=str(models / "other"))
    subject = subject_of(client, client.submit(request))
    digests = digests_of(subject)
    whole = judged(digests).model_copy(update={"subject_digests": digests})
    require_about(whole, subject)
    for other in (
        digests | {side: f"sha256:{'0' * 64}"},
        {k: digests[k] for k in {*digests} - {side}},
    ):
        verdict = whole.model_copy(update={"subject_digests": other})
        with pytest.raises(HarnessError, match=rf"its {side} is .* no verdict on what was submit"):
            require_about(verdict, subject)


def test_a_verdict_under_another_policy_is_an_error(client: Client, models: Path) -> None:
    subject = subject_of(client, client.submit(wanted(models)))
    with pytest.raises(HarnessError, match="its policy is"):
        require_about(judged(digests_of(subject), LAXER), subject)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policy": LAXER}, "its policy ours is"),
        ({"policy": "standard"}, "its policy ours is"),
        ({"policy": new_id("pol")}, "its policy is pol_"),
        ({"candidate": new_id("ckpt")}, "its candidate is ckpt_"),
        ({"baseline": new_id("ckpt")}, "its baseline is ckpt_"),
        ({"anchor": new_id("ckpt")}, "it has no anchor"),
    ],
)
def test_another_policy_or_id_than_was_submitted_is_an_error(
    client: Client, models: Path, changes: dict[str, str], sentence: str
) -> None:
    subject = subject_of(client, client.submit(wanted(models)))
    with pytest.raises(HarnessError, match=sentence):
        require_submitted(wanted(models, **changes), subject)


def longer(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes() + b" ")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (longer, r"'model.safetensors' of its candidate .* is \d+ bytes here, and \d+ bytes"),
        (lambda folder: (folder / "config.json").unlink(), "'config.json' .* is no file here"),
        (
            lambda folder: (folder / "chat_template.jinja").write_text("{{ messages }}"),
            "'chat_template.jinja' .* is 14 bytes here, and no file",
        ),
    ],
)
def test_another_folder_under_the_same_path_is_an_error(
    client: Client, models: Path, change: Callable[[Path], object], sentence: str
) -> None:
    request = wanted(models)
    subject = subject_of(client, client.submit(request))
    change(models / "tuned")
    with pytest.raises(HarnessError, match=sentence):
        require_submitted(request, subject)


def test_a_baselines_folder_is_compared_like_a_candidates(client: Client, models: Path) -> None:
    request = wanted(models)
    subject = subject_of(client, client.submit(request))
    longer(models / "base")
    with pytest.raises(HarnessError, match="of its baseline"):
        require_submitted(request, subject)


def test_an_adapter_is_compared_apart_from_its_base(client: Client, models: Path) -> None:
    subject = subject_of(client, client.submit(wanted(models)))
    size = (models / "lora" / "adapter_model.safetensors").stat().st_size
    registered = subject.sides["candidate"]
    pair = registered.model_copy(
        update={
            "files": (
                *registered.files,
                wire.File(path="+adapter/adapter_model.safetensors", size=size, sha256="0" * 64),
            )
        }
    )
    subject = replace(subject, sides={**subject.sides, "candidate": pair})
    request = wanted(models, adapter=str(models / "lora"))
    require_submitted(request, subject)
    longer_adapter = models / "lora" / "adapter_model.safetensors"
    longer_adapter.write_bytes(longer_adapter.read_bytes() + b" ")
    with pytest.raises(HarnessError, match="of its adapter"):
        require_submitted(request, subject)


class Between(BaseHTTPRequestHandler):
    """A server that passes requests on to the real service, and answers as `lies` say."""

    real: httpx.Client
    lies: dict[str, Callable[[Any], Any]]

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def _answer(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        wanted = ("Authorization", "Content-Type", "Idempotency-Key")
        headers = {name: self.headers[name] for name in wanted if self.headers[name]}
        if self.path.endswith("/events"):
            now, job = "2026-11-30T12:00:00Z", self.path.split("/")[-2]
            event = {"seq": 1, "job": job, "kind": "succeeded", "document": {}, "created_at": now}
            self._send(200, "text/event-stream", f"data: {json.dumps(event)}\n\n")
            return
        reply = self.real.request(self.command, self.path, content=body, headers=headers)
        document, status = reply.json(), reply.status_code
        for part, lie in self.lies.items():
            if part in self.path:
                document, status = lie(document), 200
        self._send(status, "application/json", json.dumps(document))

    def _send(self, status: int, kind: str, text: str) -> None:
        content = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def between(service: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Between]]:
    url, token = service
    for name in [name for name in os.environ if name.startswith("HOLDFAST_")]:
        monkeypatch.delenv(name)
    handler = type("Handler", (Between,), {"lies": {}})
    with (
        httpx.Client(base_url=url, trust_env=False) as handler.real,
        ThreadingHTTPServer(("127.0.0.1", 0), handler) as server,
    ):
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        monkeypatch.setenv("HOLDFAST_SERVER", f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("HOLDFAST_API_KEY", token)
        yield handler
        server.shutdown()
        thread.join()


def finished(evaluation: dict[str, Any]) -> dict[str, Any]:
    return evaluation | {"status": "succeeded", "verdict": "pass"}


@pytest.mark.parametrize(
    ("candidate", "policy", "code"),
    [("tuned", POLICY, 0), ("other", POLICY, 4), ("tuned", LAXER, 4), ("other", LAXER, 4)],
)
def test_only_a_pass_of_what_was_submitted_is_exit_0(
    candidate: str,
    policy: str,
    code: int,
    between: type[Between],
    client: Client,
    models: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    digests = {
        side: client.register_checkpoint(str(models / name)).digest
        for side, name in (("candidate", candidate), ("baseline", "base"))
    }
    verdict = json.loads(judged(digests, policy).to_json())
    between.lies = {"/v1/evaluations/eval_": finished, "/verdict": lambda _: verdict}
    (models / "policy.yaml").write_text(POLICY)
    words = ["submit", str(models / "tuned"), "--baseline", str(models / "base")]
    words += ["--policy", str(models / "policy.yaml"), "--tier", "demo", "--json"]
    words += ["--id-file", str(models / "id")]
    assert main(words) == code
    shown = json.loads(capsys.readouterr().out)
    evaluation = (models / "id").read_text().strip()
    for command in ("wait", "verdict", "report"):
        assert main([command, evaluation, "--json"]) == code
    if code:
        assert shown["error"]["title"] == "HarnessError"
        assert "no verdict on what was submitted" in shown["error"]["message"]


def test_a_server_that_registers_another_policy_is_found_out_before_anything_is_waited_for(
    between: type[Between], models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    laxer = parse_policy(LAXER, source="test").digest
    between.lies = {"/v1/policies/pol_": lambda policy: policy | {"digest": laxer}}
    (models / "policy.yaml").write_text(POLICY)
    words = ["submit", str(models / "tuned"), "--baseline", str(models / "base")]
    words += ["--policy", str(models / "policy.yaml"), "--tier", "demo", "--json"]
    assert main(words) == 4
    assert "its policy ours is" in json.loads(capsys.readouterr().out)["error"]["message"]
