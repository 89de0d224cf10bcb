"""The secrets that a run could open are known to its redactor before its first line of output."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Self

import anyio
import pytest

from aetherflow import registry
from aetherflow.clock import SystemClock
from aetherflow.errors import LockHeld
from aetherflow.events import run_events as e
from aetherflow.runs import early_secrets
from aetherflow.runs.execute_run import execute_run, run_flow
from aetherflow.runs.ports import ObserverSpec
from aetherflow.runs.resolved_run import resolve_run
from aetherflow.runs.run_control import RunControl
from aetherflow.runs.run_request import RunRequest
from aetherflow.sdk.connector import Connector, Resource
from aetherflow.sdk.context import StepContext
from aetherflow.store.database_pool import DatabasePool
from aetherflow.testing import Recorder
from tests.polling import DEADLINE_SECONDS, eventually
from tests.runs.run_parts import ACTIONS, Place, flow
from tests.store.clock_double import FakeClock

pytestmark = pytest.mark.asyncio

CANARY = "canary-7f3a9c"


class Opened(Connector):
    """A connector that keeps what it was opened with."""

    with_: ClassVar[list[Any]] = []

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Open."""
        cls.with_.append(resource.config["pin"])
        return cls()

    async def aclose(self) -> None:
        """Close."""


@pytest.fixture
def opened(place: Place, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Let `test:opened` be a connector, `open` a thing that `probe` does, and `say` another."""
    monkeypatch.setattr(registry, "CONNECTORS", {**registry.CONNECTORS, "test:opened": f"{__name__}:Opened"})
    Opened.with_ = []
    assert not ACTIONS, place.folder

    async def open_it(context: StepContext, inputs: dict[str, Any]) -> None:
        await context.connector(inputs["resource"])

    def say(context: StepContext, inputs: dict[str, Any]) -> None:
        context.log(Path(inputs["file"]).read_text())
        if inputs.get("fails"):
            raise RuntimeError(Path(inputs["file"]).read_text())

    ACTIONS.update({"open": open_it, "say": say})
    return Opened.with_


def opening(field: str, *steps: str, head: str = "") -> str:
    """Return a flow of one job with these steps, and a resource `r` whose `pin` is a field."""
    return flow(f"{{id: a, steps: [{', '.join(steps)}]}}", head=head) + (
        f"resources:\n  r: {{kind: test, driver: opened, config: {{pin: {field}}}}}\n"
    )


OPENS = "{id: o, type: probe, inputs: {do: open, resource: r}}"


def says(place: Place, step_id: str = "s", more: str = "") -> str:
    """Return a step that prints what is in the file `pin`."""
    return f"{{id: {step_id}, type: probe, inputs: {{do: say, file: {place.folder}/pin{more}}}}}"


def pin(place: Place, text: str = CANARY) -> Path:
    """Write a secret into the file `pin`."""
    file = place.folder / "pin"
    file.write_text(text)
    file.chmod(0o600)
    return file


def texts(place: Place) -> str:
    """Return all that an observer saw and all that is stored."""
    files = b"".join(path.read_bytes() for path in place.state.parent.rglob("*") if path.is_file())
    return repr(place.seen.events) + files.decode("utf-8", "replace")


def warned(place: Place) -> list[str]:
    """Return the warnings about secrets that are not known."""
    return [x.message for x in place.seen.events if isinstance(x, e.Notice) and x.code == "AF575"]


@pytest.mark.usefixtures("opened")
@pytest.mark.parametrize("selected", ["", "b"])
async def test_a_step_that_opens_nothing_says_the_secret_of_a_resource_that_nobody_opens(
    place: Place, selected: str
) -> None:
    file = pin(place)
    secret = f'{{secret: "file:{file}"}}'
    text = opening(secret, OPENS).replace("jobs:", f"jobs:\n  - {{id: b, steps: [{says(place)}]}}")
    report = await place.run(text, flow_job=selected)
    assert report.status == "SUCCESS"
    assert CANARY not in texts(place)
    assert "***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]
    assert warned(place) == []


async def test_a_program_runs_once_for_the_start_and_the_first_opening(
    place: Place, opened: list[Any]
) -> None:
    trace = place.folder / "trace"
    secret = f"{{secret: \"command:sh -c 'echo asked >> {trace}; echo {CANARY}-$$'\"}}"
    await place.run(opening(secret, OPENS))
    assert trace.read_text() == "asked\n"
    late = "{id: o, type: probe, inputs: {do: open, resource: r}}"
    await place.run(opening(secret, "{id: first, type: probe}", late))
    assert trace.read_text() == "asked\n" * 3, "a step has ended: it may have changed what the program prints"
    assert len(opened) == 2
    assert CANARY not in texts(place)


async def test_a_value_that_has_become_old_is_fetched_again(
    place: Place, opened: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(early_secrets, "KEEP_SECONDS", 0.0)
    trace = place.folder / "trace"
    await place.run(
        opening(f"{{secret: \"command:sh -c 'echo >> {trace}; wc -l < {trace}; echo {CANARY}'\"}}", OPENS)
    )
    assert opened == [f"2\n{CANARY}"]


async def test_a_file_that_a_step_has_written_is_read_when_it_is_opened_and_masked_from_then_on(
    place: Place, opened: list[Any]
) -> None:
    file = place.folder / "pin"

    def write(_context: StepContext, _inputs: dict[str, Any]) -> None:
        pin(place)

    ACTIONS["write"] = write
    writes = "{id: w, type: probe, inputs: {do: write}}"
    report = await place.run(opening(f'{{secret: "file:{file}"}}', writes, OPENS, says(place)))
    assert report.status == "SUCCESS"
    assert opened == [CANARY]
    assert CANARY not in texts(place)
    (message,) = warned(place)
    assert message == (
        f"resource 'r': config.pin could not be fetched when the run began (cannot read the secret in "
        f"{file}: no such file or directory); what it holds is not masked until a step opens the resource"
    )
    first = [type(event) for event in place.seen.events][:3]
    assert first == [e.RunStarted, e.RunPersisted, e.Notice], "it is the first that the run says"


@pytest.mark.usefixtures("opened")
async def test_what_cannot_be_fetched_is_no_error_before_it_is_opened(place: Place) -> None:
    text = opening('{secret: "command:false"}', says(place))
    pin(place)
    assert (await place.run(text)).status == "SUCCESS"
    assert ["false ended with exit code 1" in message for message in warned(place)] == [True]
    assert (await place.run(text.replace(says(place), OPENS))).status == "FAILED"
    assert "AF572" in texts(place)


@pytest.mark.usefixtures("opened")
async def test_a_decoded_field_is_masked_before_it_is_opened_and_a_decoder_that_raises_is_reported(
    place: Place,
) -> None:
    provider = place.folder / "provider.py"
    provider.write_text(
        "def decode(value):\n    return {'coded-1': 'canary-7f3a9c', 'coded-2': 'x://u:canary-8@h'}[value]\n"
    )
    pin(place, f"{CANARY} canary-8 coded-1")
    field = "coded-1, url: coded-2, other: coded-3}, decode: {config: {pin: true, url: true, other: true}"
    report = await place.run(opening(field, says(place)), env={"AETHERFLOW_SECRETS_PATH": str(provider)})
    assert report.status == "SUCCESS"
    assert "*** *** ***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]
    (message,) = warned(place)
    assert message.startswith("resource 'r': config.other could not be fetched")
    assert "KeyError" in message


async def test_a_file_that_a_step_changes_before_it_opens_the_resource_is_read_again(
    place: Place, opened: list[Any]
) -> None:
    async def change(context: StepContext, _inputs: dict[str, Any]) -> None:
        pin(place, "canary-second")
        await context.connector("r")

    ACTIONS["change"] = change
    pin(place)
    text = opening(f'{{secret: "file:{place.folder}/pin"}}', "{id: c, type: probe, inputs: {do: change}}")
    await place.run(text)
    assert opened == ["canary-second"]


async def test_a_resource_that_every_step_opens_for_itself_is_fetched_for_each(
    place: Place, opened: list[Any]
) -> None:
    both = anyio.Event()

    async def meet(context: StepContext, _inputs: dict[str, Any]) -> None:
        await context.connector("r")
        if len(opened) == 2:
            both.set()
        with anyio.fail_after(30):
            await both.wait()

    ACTIONS["meet"] = meet
    trace = place.folder / "trace"
    meets = "steps: [{id: m, type: probe, inputs: {do: meet}}]"
    text = flow(f"{{id: a, {meets}}}", f"{{id: b, {meets}}}") + (
        "resources:\n  r: {kind: test, driver: opened, options: {cache: none}, config: {pin: "
        f"{{secret: \"command:sh -c 'echo asked >> {trace}; echo {CANARY}'\"}}}}}}\n"
    )
    assert (await place.run(text)).status == "SUCCESS"
    assert trace.read_text() == "asked\n" * 2


async def test_decode_is_not_called_twice_at_a_time_when_a_run_begins(
    place: Place, opened: list[Any]
) -> None:
    del opened
    provider = place.folder / "provider.py"
    provider.write_text(
        "import time\ncalls = []\n\n\ndef decode(value):\n    calls.append(value)\n    time.sleep(0.05)\n"
        "    assert calls.pop() == value\n    return f'canary-{value}'\n"
    )
    pin(place, "canary-one canary-two")
    field = "one, b: two}, decode: {config: {pin: true, b: true}"
    await place.run(opening(field, says(place)), env={"AETHERFLOW_SECRETS_PATH": str(provider)})
    assert warned(place) == []
    assert "*** ***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]


async def test_a_parameter_that_became_a_secret_since_the_run_started_is_masked_in_its_resume(
    place: Place, opened: list[Any]
) -> None:
    del opened
    pin(place, "param-7f3a9c")
    head = "params: {x: {}}"
    text = flow(f"{{id: a, steps: [{says(place, 's', ', fails: true')}]}}", head=head)
    await place.run(text, run_id="r", params={"x": "param-7f3a9c"})
    more = "{id: b, steps: [{id: t, type: probe, inputs: {api_token: '{{params.x}}'}}]}"
    text = flow(f"{{id: a, steps: [{says(place, 's', ', fails: true')}]}}", more, head=head)
    await place.run(text, run_id="r")
    assert "***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]


async def test_a_resume_masks_what_the_inputs_of_kept_and_later_steps_hold(
    place: Place, opened: list[Any]
) -> None:
    del opened
    pin(place, "literal-canary env-canary param-canary url-canary nested-canary option-canary")
    inputs = (
        "{api_token: literal-canary, password: '{{env.HARMLESS}}', url: 'x://u:url-{{env.WORD}}@h', "
        "env: {MY_SECRET: '{{params.x}}'}, my_password: {of: ['{{env.NESTED}}']}, "
        "command: [tool, --password, '{{env.OPTION}}', '{{steps.none.x}}']}"
    )
    none = "{id: none, type: probe, inputs: {x: y}}"
    text = flow(
        f"{{id: a, steps: [{says(place)}, {none}, {{id: k, type: probe, inputs: {inputs}}}]}}",
        f"{{id: b, depends_on: [a], steps: [{says(place, 't', ', fails: true')}]}}",
        head="params: {x: {}}",
    )
    env = {"HARMLESS": "env-canary", "WORD": "canary", "NESTED": "nested-canary", "OPTION": "option-canary"}
    given = {"x": "param-canary"}
    assert (await place.run(text, env=env, run_id="r", params=given)).status == "FAILED"
    assert "canary" not in texts(place).replace(str(place.folder), "")
    report = await place.run(text, env=env, run_id="r", params=given)
    assert report.status == "FAILED"
    assert "*** *** *** *** *** ***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]
    assert "canary" not in texts(place).replace(str(place.folder), "")
    assert place.query("SELECT params FROM runs") == [('{"x":"***"}',)]


async def test_an_output_that_a_kept_step_got_under_the_name_of_a_secret_is_masked_in_the_resume(
    place: Place, opened: list[Any]
) -> None:
    del opened
    pin(place, "given-out-7f3a9c")
    text = flow(
        "{id: a, steps: [{id: v, type: probe, inputs: {value: given-out-7f3a9c}},"
        " {id: k, type: probe, inputs: {password: '{{steps.v.value}}'}}]}",
        f"{{id: b, depends_on: [a], steps: [{says(place, 't', ', fails: true')}]}}",
    )
    await place.run(text, run_id="r")
    await place.run(text, run_id="r")
    assert "***" in [x.message for x in place.seen.events if isinstance(x, e.Notice)]


@pytest.mark.usefixtures("opened")
async def test_a_request_to_stop_does_not_wait_for_a_secret_and_the_run_says_what_it_does_not_know(
    place: Place,
) -> None:
    began = place.folder / "began"
    checked = place.checked(opening(f"{{secret: \"command:sh -c 'touch {began}; sleep 600'\"}}", says(place)))
    pin(place)
    clock, control, seen = SystemClock(), RunControl(), Recorder()
    run = resolve_run(checked, RunRequest(run_id="r"), clock)

    async def stop() -> None:
        assert await eventually(began.exists)
        control.cancel("enough")

    with anyio.fail_after(DEADLINE_SECONDS):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(stop)
            report = await execute_run(
                run,
                [ObserverSpec("test", lambda: seen, "wait")],
                states=DatabasePool(),
                control=control,
                clock=clock,
            )
    assert (report.status, report.reason) == ("CANCELLED", "enough")
    messages = [x.message for x in seen.events if isinstance(x, e.Notice)]
    assert any(
        "config.pin could not be fetched when the run began (no answer in time)" in x for x in messages
    )


async def test_a_run_renews_its_leases_while_it_waits_for_its_secrets(
    place: Place, opened: list[Any]
) -> None:
    """It waits until the other run was refused, longer than the first leases last."""
    go = place.folder / "go"
    text = opening(
        f"{{secret: \"command:sh -c 'until [ -e {go} ]; do sleep 0.02; done; echo {CANARY}'\"}}",
        OPENS,
        head="locks: {scope: flow, ttl_seconds: 30}",
    )
    checked, place.seen = place.checked(text), Recorder()
    expiries: list[datetime] = []
    clock = FakeClock()

    def outlives_its_first_leases() -> bool:
        if place.state.exists() and place.query("SELECT * FROM sqlite_schema WHERE name = 'leases'"):
            rows = place.query("SELECT expires_at FROM leases WHERE name LIKE 'lock:flow:%'")
            expiries.extend(datetime.fromisoformat(expires_at) for (expires_at,) in rows)
        if expiries and expiries[-1] - clock.now() > timedelta(seconds=5):  # it can still be renewed
            clock.advance(0.5)
        return bool(expiries) and expiries[-1] - expiries[0] > timedelta(seconds=30)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(partial(run_flow, checked, RunRequest(run_id="r"), [], clock=clock))
        assert await eventually(outlives_its_first_leases)
        assert place.query("SELECT count(*) FROM events") == [(0,)], "it waits"
        with pytest.raises(LockHeld):
            await run_flow(place.checked(text), RunRequest(run_id="r2"), [], clock=clock)
        go.touch()
    assert opened == [CANARY]
    assert json.dumps(CANARY) not in texts(place)
