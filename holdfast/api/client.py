"""The service as calls, which the command line and the integrations share."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import httpx

from holdfast import errors
from holdfast.api import wire
from holdfast.api.connection import BACKOFF, Connection
from holdfast.job import FINISHED
from holdfast.settings import Settings
from holdfast.verdict.document import Verdict

if TYPE_CHECKING:
    from holdfast.readings.chain import Chain


class Client(Connection):
    """The service, as calls; close it, or use it in a `with`."""

    # --- checkpoints, baselines, policies

    def register_checkpoint(
        self, uri: str, *, parent: str | None = None, adapter: str | None = None
    ) -> wire.Checkpoint:
        """Have a folder admitted, hashed and registered."""
        body = wire.NewCheckpoint(uri=uri, parent=parent, adapter=adapter)
        return self._post(wire.Checkpoint, "/v1/checkpoints", body)

    def checkpoint(self, checkpoint_id: str) -> wire.Checkpoint:
        """A registered checkpoint."""
        return self._get(wire.Checkpoint, f"/v1/checkpoints/{checkpoint_id}")

    def chain(self, checkpoint_id: str, **query: str) -> "Chain":
        """The forgetting of a checkpoint's lineage; `query` are the route's own names."""
        from holdfast.readings.chain import Chain  # which knows every probe and every test

        return self._get(Chain, f"/v1/checkpoints/{checkpoint_id}/chain", query)

    def baseline(self, project: str, alias: str) -> wire.Baseline:
        """Where an alias points now."""
        return self._get(wire.Baseline, f"/v1/projects/{project}/baselines/{alias}")

    def baseline_history(self, project: str, alias: str) -> wire.Page[wire.Baseline]:
        """Every move of an alias, newest first."""
        path = f"/v1/projects/{project}/baselines/{alias}/history"
        return self._get(wire.Page[wire.Baseline], path)

    def set_baseline(
        self, project: str, alias: str, checkpoint: str, *, expected_version: int | None
    ) -> wire.Baseline:
        """Move an alias if it still is at `expected_version` (None: not set); else StaleVersion."""
        path = f"/v1/projects/{project}/baselines/{alias}"
        body = wire.NewBaseline(checkpoint=checkpoint)
        return self._put(wire.Baseline, path, body, expected_version)

    def save_policy(self, text: str) -> wire.Policy:
        """Store a policy; the same one is stored once."""
        return self._post(wire.Policy, "/v1/policies", wire.NewPolicy(text=text))

    def policy(self, policy_id: str) -> wire.Policy:
        """A stored policy and its text."""
        return self._get(wire.Policy, f"/v1/policies/{policy_id}")

    # --- evaluations

    def submit(self, evaluation: wire.NewEvaluation) -> wire.Evaluation:
        """Queue an evaluation."""
        return self._post(wire.Evaluation, "/v1/evaluations", evaluation, self._patient)

    def evaluation(self, evaluation_id: str) -> wire.Evaluation:
        """How far an evaluation is."""
        return self._get(wire.Evaluation, f"/v1/evaluations/{evaluation_id}")

    def evaluations(
        self, *, cursor: str | None = None, branch: str | None = None, line: str | None = None
    ) -> wire.Page[wire.Evaluation]:
        """The project's evaluations, newest first; of a branch, or of a baseline's alias."""
        given = {"cursor": cursor, "branch": branch, "line": line}
        query = {name: value for name, value in given.items() if value is not None}
        return self._get(wire.Page[wire.Evaluation], "/v1/evaluations", query)

    def cancel(self, evaluation_id: str) -> wire.Evaluation:
        """Ask for its end: at once if it waits, at the worker's next look if it runs."""
        return self._post(wire.Evaluation, f"/v1/evaluations/{evaluation_id}:cancel")

    def retry(self, evaluation_id: str) -> wire.Evaluation:
        """Queue it again after it ended without a result."""
        return self._post(wire.Evaluation, f"/v1/evaluations/{evaluation_id}:retry")

    def verdict(self, evaluation_id: str) -> Verdict:
        """The verdict of an evaluation; NotFound until there is one."""
        return self._get(Verdict, f"/v1/evaluations/{evaluation_id}/verdict")

    def items(
        self, evaluation_id: str, *, probe: str, item: str, text: bool = False
    ) -> wire.Page[wire.Item]:
        """Every side's trials of one item; with `text`, for keys that may, the model's answers."""
        query = {"probe": probe, "item": item, "text": str(text).lower(), "limit": "200"}
        return self._get(wire.Page[wire.Item], f"/v1/evaluations/{evaluation_id}/items", query)

    def artifact(self, evaluation_id: str, name: str) -> bytes:
        """A report or evidence file, such as report.md or evidence/candidate.jsonl."""
        path = f"/v1/evaluations/{evaluation_id}/artifacts/{name}"
        return self._send("GET", path, headers={"Accept": "*/*"}).content

    # --- remediations, keys

    def remediate(self, remediation: wire.NewRemediation) -> wire.Remediation:
        """Queue a repair of a failing evaluation's candidate."""
        return self._post(wire.Remediation, "/v1/remediations", remediation, self._patient)

    def remediation(self, remediation_id: str) -> wire.Remediation:
        """How far a repair is, and what came out."""
        return self._get(wire.Remediation, f"/v1/remediations/{remediation_id}")

    def candidates(self, remediation_id: str) -> tuple[wire.Candidate, ...]:
        """Every try of a repair, with its scores and the Pareto front."""
        path = f"/v1/remediations/{remediation_id}/candidates"
        return self._get(wire.Page[wire.Candidate], path).data

    def cancel_remediation(self, remediation_id: str) -> wire.Remediation:
        """Ask for the end of a repair."""
        return self._post(wire.Remediation, f"/v1/remediations/{remediation_id}:cancel")

    def own_project(self) -> wire.Project:
        """The project of this key, with its rules."""
        (project,) = self._get(wire.Page[wire.Project], "/v1/projects").data
        return project

    def project(self, project: str) -> wire.Project:
        """A project's rules; version 0 where nobody made any."""
        return self._get(wire.Project, f"/v1/projects/{project}")

    def set_project(
        self, project: str, rules: wire.NewProject, *, expected_version: int
    ) -> wire.Project:
        """Set all rules of a project if they still are at `expected_version`; else StaleVersion."""
        path = f"/v1/projects/{project}"
        return self._put(wire.Project, path, rules, expected_version or None)

    def give_waiver(self, waiver: wire.NewWaiver) -> wire.CheckpointWaiver:
        """Waive a check of a checkpoint; its verdicts are decided anew."""
        return self._post(wire.CheckpointWaiver, "/v1/waivers", waiver)

    def waivers(self) -> tuple[wire.CheckpointWaiver, ...]:
        """The project's newest waivers, the revoked ones too."""
        return self._get(wire.Page[wire.CheckpointWaiver], "/v1/waivers", {"limit": "200"}).data

    def revoke_waiver(self, waiver_id: str) -> wire.CheckpointWaiver:
        """End a waiver at once; its checkpoint's verdicts are decided anew."""
        return self._post(wire.CheckpointWaiver, f"/v1/waivers/{waiver_id}:revoke")

    def audit_events(self) -> Iterator[wire.AuditEvent]:
        """Every act in the project, oldest first."""
        yield from self._pages(wire.Page[wire.AuditEvent], "/v1/audit-events")

    def audit_heads(self) -> Iterator[wire.AuditHead]:
        """Where the project's trail ended whenever the server signed it, oldest first."""
        yield from self._pages(wire.Page[wire.AuditHead], "/v1/audit-heads")

    def audit_head(self) -> wire.AuditHead:
        """Where the project's trail ends now, signed by the server."""
        return self._get(wire.AuditHead, "/v1/audit-head")

    def create_key(self, key: wire.NewKey) -> wire.Key:
        """Make a key; its token is in this reply alone."""
        return self._post(wire.Key, "/v1/keys", key)

    def keys(self) -> wire.Page[wire.Key]:
        """The project's keys, without their tokens."""
        return self._get(wire.Page[wire.Key], "/v1/keys")

    def revoke_key(self, key_id: str) -> wire.Key:
        """End a key at once."""
        return self._post(wire.Key, f"/v1/keys/{key_id}:revoke")

    def probes(self) -> wire.Page[wire.Probe]:
        """The catalogue of probes."""
        return self._get(wire.Page[wire.Probe], "/v1/probes")

    # --- events

    def events(self, job_id: str, *, after: int = 0) -> Iterator[wire.Event]:
        """A job's events as they happen, until it has ended; a cut stream is taken up again.

        Raises Unreachable when the server stays away for some tries in a row.
        """
        kind = "remediations" if job_id.startswith("rem_") else "evaluations"
        path, last_seq, failures = f"/v1/{kind}/{job_id}/events", after, 0
        while failures < BACKOFF.tries:
            ended = False
            try:
                for event in self._stream(path, last_seq):
                    last_seq, failures = event.seq, 0
                    ended = event.kind in FINISHED
                    yield event
                if ended or self._is_over(f"/v1/{kind}/{job_id}", path, last_seq):
                    return
            except (httpx.TransportError, errors.Unreachable):
                failures += 1
                self._sleep(BACKOFF.pause(failures))
        raise errors.Unreachable(f"{self._server} does not answer; the job runs on without us")

    def _is_over(self, job: str, events: str, last_seq: int) -> bool:
        status = self._get(wire.Job, job).status
        rest = self._get(wire.Page[wire.Event], events, {"cursor": str(last_seq)})
        return status in FINISHED and not rest.data


def open_client(settings: Settings, patience: float = 0.0) -> Client:
    """A client for HOLDFAST_SERVER with HOLDFAST_API_KEY."""
    if settings.server is None:
        raise errors.Unreachable(
            f"no server: none runs in {settings.home}; start one there with `holdfast up`, go to "
            "the folder of one that runs, or set HOLDFAST_SERVER to a URL"
        )
    return Client(settings.server, settings.api_key, patience=patience)
