"""Settings that change how a run goes, seen from outside: a real flow, a real database, real events."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, ClassVar, Self

import pytest

from aetherflow import registry
from aetherflow.errors import ConfigError
from aetherflow.events import run_events as e
from aetherflow.execution.shared_connectors import SharedConnectors
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.context import StepContext
from tests.runs.run_parts import ACTIONS, Place, flow

pytestmark = pytest.mark.asyncio


class Counted(Connector):
    """A connector that keeps a record."""

    log: ClassVar[list[str]] = []

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open."""
        cls.log.append(f"open {json.dumps(resource.options)}")
        return cls()

    async def aclose(self) -> None:
        """Close."""
        self.log.append("close")


@pytest.fixture
def log(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let flows of the place open `test:counted`, by a step that asks for it twice."""
    assert place
    monkeypatch.setattr(
        registry, "CONNECTORS", {**registry.CONNECTORS, "test:counted": f"{__name__}:Counted"}
    )
    monkeypatch.setitem(ACTIONS, "connect", connect)
    monkeypatch.setitem(ACTIONS, "path", path)
    Counted.log.clear()
    return Counted.log


async def connect(context: StepContext, _inputs: dict[str, Any]) -> None:
    """Ask for the connector twice."""
    assert await context.connector("r") is await context.connector("r")
    Counted.log.append(context.step_id)


def path(context: StepContext, inputs: dict[str, Any]) -> dict[str, str]:
    """Give back where a path leads."""
    return {"path": str(context.path(inputs["path"]))}


TWO_STEPS = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: connect, resource: r}},"
                 " {id: t, type: probe, inputs: {do: connect, resource: r}}]}")  # fmt: skip


def resource(options: str = "{}") -> str:
    return f"resources:\n  r: {{kind: test, driver: counted, options: {options}}}\n"


def warnings(place: Place) -> list[str]:
    seen = place.seen.events
    return [event.message for event in seen if isinstance(event, e.Notice) and event.level == "warning"]


OPEN = "open {}"
SHARED = [OPEN, "s", "t", "close"]
EACH = [OPEN, "s", "close", OPEN, "t", "close"]


@pytest.mark.parametrize(
    ("env", "options", "expected"),
    [
        ({}, "{}", SHARED),
        ({"AETHERFLOW_CONNECTOR_CACHE_DEFAULT": "none"}, "{}", EACH),
        ({"AETHERFLOW_CONNECTOR_CACHE_DEFAULT": "none"}, "{cache: run}", SHARED),
        ({"AETHERFLOW_CONNECTOR_CACHE_DEFAULT": "process"}, "{}", SHARED),
        ({}, "{cache: none}", EACH),
        ({"AETHERFLOW_CONNECTOR_CACHE_DISABLED": "yes"}, "{cache: process}", EACH),
    ],
)
async def test_the_cache_says_who_shares_a_connector(
    place: Place, log: list[str], env: dict[str, str], options: str, expected: list[str]
) -> None:
    report = await place.run(TWO_STEPS + resource(options), env=env)
    assert report.status == "SUCCESS"
    assert log == expected
    assert warnings(place) == []


async def test_the_runs_of_a_process_share_a_connector_while_it_stays(place: Place, log: list[str]) -> None:
    server = SharedConnectors.join()
    for _ in range(2):
        await place.run(TWO_STEPS + resource("{cache: process}"))
    assert log == [OPEN, "s", "t", "s", "t"]
    await server.leave()
    assert log[-1] == "close"


async def test_a_failed_step_closes_what_it_had_for_itself(place: Place, log: list[str]) -> None:
    text = flow("{id: a, steps: [{id: s, type: with_lock, inputs: {lock_key: k,"
                " step: {id: i, type: probe, inputs: {do: connect, resource: r}}}},"
                " {id: t, type: probe, inputs: {do: break, resource: r}}]}")  # fmt: skip

    async def break_after(context: StepContext, inputs: dict[str, Any]) -> None:
        await connect(context, inputs)
        raise RuntimeError("broken")

    ACTIONS["break"] = break_after
    try:
        report = await place.run(text + resource("{cache: none}"))
    finally:
        del ACTIONS["break"]
    assert report.status == "FAILED"
    assert log == [OPEN, "s.i", "close", OPEN, "t", "close"]


GAPS = flow("{id: a, steps: [{id: s, type: probe, inputs: {x: 'v={{env.NONE}}', y: '{{steps.s0.z:d}}'},"
            " outputs: {o: '{{result.nothing}}', x: '{{result.x}}'}}]}")  # fmt: skip


async def test_a_missing_value_fails_the_step_unless_templates_are_lenient(place: Place) -> None:
    text = GAPS.replace("{{steps.s0.z:d}}", "{{env.Z:d}}")
    assert (await place.run(text)).status == "FAILED"
    report = await place.run(text, env={"AETHERFLOW_STRICT_TEMPLATES": "false"})
    assert report.status == "SUCCESS"
    assert place.query("SELECT outputs FROM job_state WHERE run_id = ?", report.run_id) == [
        ('{"o":"","x":"v="}',)
    ]
    reported = warnings(place)
    assert len(reported) == 2
    assert reported[0].startswith("{{env.NONE}} has no value")
    assert all(message.endswith("; an empty text is used") for message in reported)
    notices = [event for event in place.seen.events if isinstance(event, e.Notice)]
    assert {(notice.job_id, notice.step_id) for notice in notices} == {("a", "s")}


async def test_a_resource_with_lenient_templates_opens_with_a_warning(place: Place, log: list[str]) -> None:
    text = TWO_STEPS + "resources:\n  r: {kind: test, driver: counted, options: {host: 'h{{env.NONE}}'}}\n"
    assert (await place.run(text)).status == "FAILED"
    await place.run(text, env={"AETHERFLOW_STRICT_TEMPLATES": "no"})
    assert log == ['open {"host": "h"}', "s", "t", "close"]
    assert len(warnings(place)) == 1
    assert warnings(place)[0].startswith("resource 'r': {{env.NONE}} has no value")


@pytest.mark.usefixtures("log")
async def test_a_path_leaves_its_folder_only_when_the_sandbox_is_not_strict(place: Place) -> None:
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: path, path: ../../out.txt}},"
                " {id: t, type: probe, inputs: {do: path, path: in.txt}}]}")  # fmt: skip
    assert (await place.run(text)).status == "FAILED"
    report = await place.run(text, env={"AETHERFLOW_STRICT_SANDBOX": "false"})
    assert report.status == "SUCCESS"
    job = place.state.parent / "work" / "demo" / "a"
    outputs = place.query("SELECT outputs FROM step_state WHERE run_id = ? ORDER BY step_id", report.run_id)
    assert [json.loads(row[0])["path"] for row in outputs] == [
        str(job / "out.txt"),
        str(job / report.run_id / "artifacts" / "in.txt"),
    ]
    assert warnings(place) == ["the path '../../out.txt' leaves the job's artifacts folder"]


async def test_the_metrics_of_a_module_hear_the_run_and_cannot_hurt_it(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place.folder / "af_run_metrics.py").write_text(
        "calls = []\n"
        "class _Sink:\n"
        "    def on_step_end(self, *, step_id, status, duration_ms, **ids):\n"
        "        calls.append((step_id, status, ids['flow_id']))\n"
        "    def on_run_end(self, *, summary, **ids):\n"
        "        calls.append(summary['status'])\n"
        "        raise RuntimeError('gateway')\n"
        "METRICS = _Sink()\n"
    )
    monkeypatch.syspath_prepend(str(place.folder))
    text = flow("{id: a, steps: [{id: s, type: probe}]}")
    report = await place.run(text, env={"AETHERFLOW_METRICS_MODULE": "af_run_metrics"})
    import af_run_metrics  # type: ignore[import-not-found]  # noqa: PLC0415 - the test has written it

    assert af_run_metrics.calls == [("s", "SUCCESS", "demo"), "SUCCESS"]
    assert report.status == "SUCCESS"
    assert list(report.detached) == ["metrics"]


async def test_a_wrong_metrics_module_is_reported_before_anything_is_written(place: Place) -> None:
    with pytest.raises(ConfigError, match="there is no module 'no_such_metrics'"):
        await place.run(
            flow("{id: a, steps: [{id: s, type: probe}]}"),
            env={"AETHERFLOW_METRICS_MODULE": "no_such_metrics"},
        )
    assert not place.state.exists()


async def test_a_secret_is_fetched_when_its_connector_opens_and_masked_from_then_on(
    place: Place, log: list[str], tmp_path: Path
) -> None:
    trace = tmp_path / "trace"
    text = TWO_STEPS + (
        "resources:\n  r: {kind: test, driver: counted, options: {pin: {secret: "
        f"\"command:sh -c 'echo asked >> {trace}; echo canary-7f3a9c'\"}}}}}}\n"
    )
    checked = place.checked(text)
    assert not trace.exists()
    report = await place.run(text)
    assert report.status == "SUCCESS"
    assert trace.read_text() == "asked\n"
    assert log[0] == 'open {"pin": "canary-7f3a9c"}'
    assert checked.redactor.text("canary-7f3a9c") == "canary-7f3a9c"  # another run knows nothing of it
    assert "canary" not in repr(place.seen.events)
