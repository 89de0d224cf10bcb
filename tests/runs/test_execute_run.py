"""A flow from its file to its end, with every real part in place."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest

from aetherflow.errors import HeldByAnother, StateError, StateUnusable, StepError, UsageError
from aetherflow.events import run_events as e
from aetherflow.execution import bus as bus_module
from aetherflow.runs.execute_run import ObserverSpec, RunRequest, run_flow
from aetherflow.sdk.context import StepContext
from aetherflow.store.journal import LeaseLost
from aetherflow.testing import Recorder
from tests.polling import wait_until
from tests.runs.run_parts import ACTIONS, Place, flow
from tests.warm_start import COMMAND, Popen, run

ONE = flow("{id: a, steps: [{id: s, type: probe, inputs: {x: 1}}]}")
X_OF_RESULT = "'{{result.x}}'"
X_OF_A = "'{{jobs.a.outputs.x}}'"


def fail(context: StepContext, inputs: dict[str, Any]) -> None:
    """Fail."""
    raise StepError(f"{context.job_id} cannot {inputs['do']}")


@pytest.mark.asyncio
async def test_a_flow_runs_to_its_end_and_everything_is_in_the_database(place: Place) -> None:
    text = flow(
        "{id: a, steps: [{id: s, type: check_items,"
        " inputs: {items: 'x,y'}, outputs: {n: '{{result.count}}'}}]}",
        "{id: b, when: jobs.a.outputs.n == 2,"
        " steps: [{id: t, type: probe, inputs: {n: '{{jobs.a.outputs.n}}'}}]}",
        "{id: c, when: jobs.a.outputs.n == 3, steps: [{id: u, type: probe}]}",
    )
    report = await place.run(text)
    assert (report.status, report.exit_code, report.detached) == ("SUCCESS", 0, {})
    assert len(report.run_id) == 12
    assert place.query("SELECT run_id, flow_id, status, attempt FROM runs") == [
        (report.run_id, "demo", "SUCCESS", 1)
    ]
    assert place.query("SELECT job_id, status, outputs FROM job_state ORDER BY 1") == [
        ("a", "SUCCESS", '{"n":2}'),
        ("b", "SUCCESS", "{}"),
        ("c", "SKIPPED", "{}"),
    ]
    assert place.inputs("t") == '{"n":2}'
    assert place.query("SELECT count(*) FROM events WHERE event IN ('run_started', 'run_finished')") == [(2,)]
    assert [type(event) for event in (place.seen.events[0], place.seen.events[-1])] == [
        e.RunStarted,
        e.RunFinished,
    ]
    assert place.seen.closed == 1
    assert place.query("SELECT count(*) FROM leases WHERE released_at IS NULL") == [(0,)]


@pytest.mark.asyncio
async def test_the_exit_code_of_a_failed_run_is_1_and_of_one_that_was_only_locked_out_75(
    place: Place,
) -> None:
    ACTIONS["fail"] = fail
    failing = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: fail}}]}")
    assert (await place.run(failing)).exit_code == 1

    async def run_again(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        other = Place(place.folder)
        reports.append(await other.run(locked))
        reports.append(await other.run(locked + extra))

    reports: list[Any] = []
    lock = "{id: s, type: with_lock, inputs: {lock_key: k, step: {type: probe, inputs: {do: '%s'}}}}"
    locked = flow(f"{{id: a, steps: [{lock % 'nothing'}]}}")
    extra = "  - {id: b, steps: [{id: s, type: probe, inputs: {do: fail}}]}\n"
    ACTIONS["again"] = run_again
    holder = await place.run(flow(f"{{id: a, steps: [{lock % 'again'}]}}"))
    assert holder.exit_code == 0
    assert [(report.status, report.exit_code) for report in reports] == [("FAILED", 75), ("FAILED", 1)]


@pytest.mark.asyncio
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
async def test_a_signal_cancels_the_run_in_order(place: Place, number: int, code: int) -> None:
    async def interrupted(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        os.kill(os.getpid(), number)
        await anyio.sleep_forever()

    ACTIONS["hang"] = interrupted
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: hang}}]}")
    with anyio.fail_after(30):
        report = await place.run(text)
    assert (report.status, report.exit_code) == ("CANCELLED", code)
    assert place.query("SELECT status, reason FROM runs") == [("CANCELLED", signal.Signals(number).name)]
    assert place.query("SELECT status FROM step_state") == [("CANCELLED",)]


@pytest.mark.asyncio
async def test_a_cancellation_from_outside_ends_the_run_and_the_observers_see_the_end(place: Place) -> None:
    began = anyio.Event()

    async def hang(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        began.set()
        await anyio.sleep_forever()

    ACTIONS["hang"] = hang
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: hang}}]}")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(place.run, text)
        await began.wait()
        tasks.cancel_scope.cancel()
    assert place.query("SELECT status FROM runs") == [("CANCELLED",)]
    assert [event.status for event in place.seen.of(e.RunFinished)] == ["CANCELLED"]
    assert place.query("SELECT count(*) FROM leases WHERE released_at IS NULL") == [(0,)]


@pytest.mark.asyncio
async def test_only_the_selected_job_runs_with_all_that_it_waits_for(place: Place) -> None:
    text = flow(
        "{id: a, steps: [{id: s, type: probe, outputs: {x: 1}}]}",
        "{id: b, depends_on: [a], steps: [{id: s, type: probe}]}",
        "{id: c, when: jobs.b.status == 'SUCCESS', steps: [{id: s, type: probe}]}",
        "{id: d, steps: [{id: s, type: probe}]}",
        "{id: e, depends_on: [c], steps: [{id: s, type: probe}]}",
    )
    await place.run(text, flow_job="c")
    assert place.query("SELECT job_id FROM job_state ORDER BY 1") == [("a",), ("b",), ("c",)]
    assert place.seen.of(e.RunStarted)[0].selected_job == "c"
    with pytest.raises(UsageError, match="--flow-job z: the flow has no such job") as raised:
        await place.run(text, flow_job="z")
    assert raised.value.hint == "its jobs are a, b, c, d, e"


@pytest.mark.asyncio
async def test_a_resumed_run_says_what_it_keeps_and_what_it_does_again(place: Place) -> None:
    ACTIONS["fail"] = fail

    def text(x: int, do: str) -> str:
        return flow(
            f"{{id: a, steps: [{{id: s, type: probe, inputs: {{x: {x}}}, outputs: {{x: {X_OF_RESULT}}}}}]}}",
            f"{{id: b, depends_on: [a], steps: [{{id: s, type: probe, inputs: {{do: {do}, x: {X_OF_A}}}}}]}}",
            "{id: c, steps: [{id: s, type: check_items, inputs: {items: []}}]}",
        )

    assert (await place.run(text(1, "fail"), run_id="r")).exit_code == 1
    report = await place.run(text(2, "nothing"), run_id="r")
    assert (report.status, report.run_id) == ("SUCCESS", "r")
    assert place.seen.logged == [
        "kept: a.s (SUCCESS), c.s (SKIPPED)",
        "runs again: b.s (FAILED)",
        "a.s is kept although the flow now defines it otherwise; --rerun a.s runs it again",
    ]
    assert place.query("SELECT outputs FROM step_state WHERE job_id = 'b'") == [('{"do":"nothing","x":1}',)]
    assert place.query("SELECT attempt, status FROM runs") == [(2, "SUCCESS")]
    await place.run(text(2, "nothing"), run_id="r", rerun=("a",))
    assert place.query("SELECT outputs FROM step_state WHERE job_id = 'b'") == [('{"do":"nothing","x":2}',)]


@pytest.mark.asyncio
async def test_the_run_of_another_flow_is_refused_and_left_as_it_is(place: Place) -> None:
    await place.run(ONE, run_id="r")
    before = place.query("SELECT count(*) FROM events")
    with pytest.raises(UsageError) as raised:
        await place.run(ONE.replace("id: demo", "id: other"), run_id="r")
    assert raised.value.message == "run r is a run of the flow 'demo', not of 'other'"
    assert raised.value.exit_code == 2
    assert place.query("SELECT count(*) FROM events") == before


@pytest.mark.parametrize("run_id", ["..", ".", "a/b", "../x", "a b", "é", "x" * 129, "a\n"])
def test_a_run_id_that_could_leave_its_folder_is_refused(run_id: str) -> None:
    with pytest.raises(UsageError, match="is not a run id"):
        RunRequest(run_id=run_id)


@pytest.mark.asyncio
async def test_a_run_whose_history_contradicts_itself_is_reported_as_that(place: Place) -> None:
    await place.run(ONE, run_id="r")
    raw = sqlite3.connect(place.state)
    with raw:
        other = """UPDATE events SET payload = replace(payload, '"job_id":"a"', '"job_id":"other"')"""
        assert raw.execute(f"{other} WHERE event = 'job_started'").rowcount == 1
    raw.close()
    with pytest.raises(StateError, match="the stored history of run r makes no sense") as raised:
        await place.run(ONE, run_id="r")
    assert raised.value.code == "AF609"
    assert place.query("SELECT count(*) FROM leases WHERE released_at IS NULL") == [(0,)]


# ---- parameters


SECRETS = flow(
    "{id: a, steps: ["
    "{id: s, type: probe, inputs: {all: '{{params.day}} {{params.api_token}} {{params.url}}'}},"
    " {id: last, type: probe, inputs: {do: fail}}]}",
    head="params: {day: {type: date, default: '2026-01-01'}, api_token: {}, url: {default: 'sftp://h'}}",
)
TOKEN = "canary-token-77"  # noqa: S105 - it is looked for


@pytest.mark.asyncio
async def test_secret_parameters_reach_the_steps_and_nothing_else(place: Place) -> None:
    heard: list[Any] = []

    def hear(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        heard.append((context.step_id, inputs["all"]))
        context.say(f"got {inputs['all']}")
        return inputs

    ACTIONS["None"] = hear
    ACTIONS["fail"] = fail
    given = {"day": "2026-02-03", "api_token": TOKEN, "url": "sftp://bob:canary-pw@h"}
    assert (await place.run(SECRETS, run_id="r", params=given)).exit_code == 1
    assert heard == [("s", f"2026-02-03 {TOKEN} sftp://bob:canary-pw@h")]
    assert place.query("SELECT params FROM runs") == [
        ('{"day":"2026-02-03","api_token":"***","url":"sftp://bob:***@h"}',)
    ]
    for file in place.state.parent.iterdir():
        assert b"canary" not in file.read_bytes()
    assert all("canary" not in str(event) for event in place.seen.events)


@pytest.mark.asyncio
async def test_a_resumed_run_has_its_own_parameters(place: Place) -> None:
    ACTIONS["fail"] = fail
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {do: '{{env.DO}}'}},"
        " {id: t, type: probe, inputs: {d: '{{params.day}}'}}]}",
        head="params: {day: {type: date, default: '2026-01-01'}}",
    )
    await place.run(text, run_id="r", params={"day": "2026-02-03"}, env={"DO": "fail"})
    await place.run(text, run_id="r", params={"day": "2026-09-09"}, env={"DO": "nothing"})
    assert place.inputs("t") == '{"d":"2026-02-03"}'
    assert place.seen.logged[-1] == (
        "the parameter day keeps the value that the run started with; for another, start a new run"
    )


@pytest.mark.asyncio
async def test_a_secret_parameter_is_given_again_when_its_run_is_resumed(place: Place) -> None:
    ACTIONS["fail"] = fail
    heard: list[str] = []
    ACTIONS["hear"] = lambda _, inputs: heard.append(inputs["token"])
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {do: '{{env.DO}}', token: '{{params.api_token}}'}}]}",
        head="params: {api_token: {}}",
    )
    await place.run(text, run_id="r", params={"api_token": TOKEN}, env={"DO": "fail"})
    with pytest.raises(UsageError) as raised:
        await place.run(text, run_id="r", env={"DO": "hear"})
    assert raised.value.message == "the parameter 'api_token' of run r is secret, hence not stored"
    assert raised.value.hint == "give it again: --param api_token=VALUE"
    report = await place.run(text, run_id="r", params={"api_token": TOKEN}, env={"DO": "hear"})
    assert (report.status, heard) == ("SUCCESS", [TOKEN])


@pytest.mark.asyncio
async def test_a_secret_parameter_that_has_a_default_is_given_again_if_it_was_given(place: Place) -> None:
    ACTIONS["fail"] = fail
    heard: list[str] = []
    ACTIONS["hear"] = lambda _, inputs: heard.append(inputs["token"])
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {do: '{{env.DO}}', token: '{{params.api_token}}'}}]}",
        head="params: {api_token: {default: the-default-token}}",
    )
    for run_id, given in [("given", {"api_token": TOKEN}), ("left", {})]:
        await place.run(text, run_id=run_id, params=given, env={"DO": "fail"})
    with pytest.raises(UsageError, match="the parameter 'api_token' of run given is secret") as raised:
        await place.run(text, run_id="given", env={"DO": "hear"})
    assert raised.value.code == "AF561"
    await place.run(text, run_id="given", params={"api_token": TOKEN}, env={"DO": "hear"})
    await place.run(text, run_id="left", env={"DO": "hear"})
    assert heard == [TOKEN, "the-default-token"]


@pytest.mark.asyncio
async def test_the_files_of_a_resumed_run_are_where_its_first_parameters_put_them(place: Place) -> None:
    folders: list[Path] = []
    ACTIONS["fail"] = fail
    ACTIONS["look"] = lambda context, _: folders.append(context.artifacts)
    text = flow(
        "{id: a, steps: [{id: s, type: probe, inputs: {do: look}},"
        " {id: t, type: probe, inputs: {do: '{{env.DO}}'}}]}",
        head=f"workspace: {{root: '{place.folder}/{{{{params.day}}}}'}}, params: {{day: {{default: mon}}}}",
    )
    await place.run(text, run_id="r", params={"day": "tue"}, env={"DO": "fail"})
    await place.run(text, run_id="r", env={"DO": "look"})
    assert folders == [place.folder / "tue" / "demo" / "a" / "r" / "artifacts"] * 2


# ---- files


@pytest.mark.asyncio
@pytest.mark.parametrize(
    ("policy", "do", "left"),
    [
        ("on_success", "write", False),
        ("on_success", "write_and_fail", True),
        ("always", "write_and_fail", False),
        ("never", "write", True),
    ],
)
async def test_the_files_of_a_run_go_as_its_policy_says(
    place: Place, policy: str, do: str, *, left: bool
) -> None:
    def write(context: StepContext, inputs: dict[str, Any]) -> None:
        (context.scratch / "x").write_text("x")
        if inputs["do"] == "write_and_fail":
            raise StepError("no")

    ACTIONS["write"] = ACTIONS["write_and_fail"] = write
    text = flow(
        f"{{id: a, steps: [{{id: s, type: probe, inputs: {{do: {do}}}}}]}}",
        head=f"workspace: {{cleanup_policy: {policy}, root: {place.folder}/work, layout: {{scratch: tmp}}}}",
    )
    report = await place.run(text)
    folder = place.folder / "work" / "demo" / "a" / report.run_id
    assert (folder / "tmp" / "x").exists() is left
    assert folder.exists() is left


@pytest.mark.asyncio
async def test_files_that_cannot_be_removed_are_reported(place: Place) -> None:
    def link(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        folder = context.scratch.parent
        folder.rename(folder.with_name("elsewhere"))
        folder.symlink_to("elsewhere")

    ACTIONS["link"] = link
    report = await place.run(flow("{id: a, steps: [{id: s, type: probe, inputs: {do: link}}]}"))
    assert report.status == "SUCCESS"
    assert [(n.code, "it is a symbolic link" in n.message) for n in place.seen.of(e.Notice)] == [
        ("AF721", True)
    ]


# ---- what goes wrong around a run


class Broken:
    """An observer that raises, or hangs."""

    def __init__(self, *, hangs: bool) -> None:
        self.hangs = hangs

    async def __call__(self, events: Sequence[e.Event]) -> None:
        """Do it."""
        if self.hangs:
            await anyio.sleep_forever()
        raise OSError(f"no space for {len(events)} events")

    async def aclose(self) -> None:
        """Do nothing."""


@pytest.mark.asyncio
async def test_observers_that_break_or_hang_do_not_hurt_the_run_and_are_reported(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bus_module, "FLUSH_SECONDS", 0.2)
    observers = [
        ObserverSpec("broken", lambda: Broken(hangs=False)),
        ObserverSpec("hung", lambda: Broken(hangs=True), "wait"),
    ]
    report = await place.run(ONE, observers=observers)
    assert report.status == "SUCCESS"
    assert report.detached["hung"] == "it did not write its last events before the run ended"
    assert report.detached["broken"].startswith("OSError: no space for")
    assert [text.startswith("the observer broken was detached: OSError") for text in place.seen.logged] == [
        True
    ]


@pytest.mark.asyncio
async def test_a_database_that_fails_stops_the_run_and_is_reported_as_itself(place: Place) -> None:
    def sabotage(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raw = sqlite3.connect(place.state)
        raw.execute("DROP TABLE job_state")
        raw.close()

    ACTIONS["sabotage"] = sabotage
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: sabotage}}, {id: t, type: probe}]}")
    with pytest.raises(StateError, match="no such table: job_state") as raised:
        await place.run(text)
    assert raised.type is StateError
    assert place.seen.of(e.RunFinished) == []
    assert place.seen.closed == 1


@pytest.mark.asyncio
async def test_a_run_that_another_process_took_over_ends_with_75(place: Place) -> None:
    def take_over(context: StepContext, inputs: dict[str, Any]) -> None:
        del context, inputs
        raw = sqlite3.connect(place.state)
        with raw:
            raw.execute("UPDATE leases SET generation = generation + 1")
        raw.close()

    ACTIONS["take"] = take_over
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: take}}]}")
    with pytest.raises(LeaseLost) as raised:
        await place.run(text, run_id="r")
    assert raised.value.exit_code == 75
    assert place.query("SELECT count(*) FROM leases WHERE released_at IS NULL") == [(1,)]


@pytest.mark.asyncio
async def test_a_state_that_cannot_be_opened_is_reported_before_anything_runs(place: Place) -> None:
    (place.folder / "xdg").write_text("a file where a folder should be")
    with pytest.raises(StateUnusable) as raised:
        await place.run(ONE)
    assert raised.value.exit_code == 2
    assert str(place.state) in raised.value.message


@pytest.mark.asyncio
async def test_the_second_who_executes_a_run_learns_who_does(place: Place) -> None:
    caught: list[HeldByAnother] = []

    async def again(context: StepContext, inputs: dict[str, Any]) -> None:
        del inputs
        try:
            await Place(place.folder).run(ONE, run_id=context.run_id)
        except HeldByAnother as error:
            caught.append(error)

    ACTIONS["again"] = again
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: again}}]}")
    assert (await place.run(text, run_id="r")).status == "SUCCESS"
    assert caught[0].exit_code == 75
    assert caught[0].message.startswith(f"run r is being executed by process {os.getpid()} on ")


def test_two_processes_with_one_run_id(place: Place) -> None:
    go, began = place.folder / "go", place.folder / "began"
    script = f"touch {began}; while [ ! -e {go} ]; do sleep 0.02; done"
    inputs = f"{{shell: true, command: '{script}'}}"
    file = place.write(flow(f"{{id: a, steps: [{{id: s, type: external.process, inputs: {inputs}}}]}}"))
    call = [str(COMMAND), "run", str(file), "--run-id", "r"]
    first = Popen(call, env=place.env, stderr=subprocess.DEVNULL)
    wait_until(began.exists)
    second = run(call, env=place.env, capture_output=True, text=True, timeout=20, check=False)
    go.touch()
    assert first.wait(20) == 0
    since = place.query("SELECT acquired_at FROM leases")[0][0]
    assert second.returncode == 75
    assert (
        f"error[AF610]: run r is being executed by process {first.pid} on {os.uname().nodename} since {since}"
    ) in second.stderr


@pytest.mark.asyncio
async def test_signals_are_received_when_the_first_event_is_seen(place: Place) -> None:
    received: list[bool] = []

    class Watcher(Recorder):
        async def __call__(self, events: Sequence[e.Event]) -> None:
            received.append(signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL)
            await super().__call__(events)

    await run_flow(place.checked(ONE), RunRequest(), [ObserverSpec("recorder", Watcher)])
    assert received[0]
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL


@pytest.mark.asyncio
async def test_show_traces_shows_where_a_step_failed(place: Place) -> None:
    ACTIONS["fail"] = fail
    text = flow("{id: a, steps: [{id: s, type: probe, inputs: {do: fail}}]}")
    await place.run(text, show_traces=True)
    assert "in fail" in place.seen.logged[0]
