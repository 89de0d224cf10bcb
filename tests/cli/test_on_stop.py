"""A server that stops leaves runs to the next server (`on_stop: resume`), or cancels them: real processes."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta

import pytest

from tests.cli.command_line import CommandLine, Running, lives, no_trace
from tests.cli.test_serve import hear

FLOW = """version: 1
flow:
  id: f
  {on_crash}
  on_exit:
  - {{id: bye, type: external.process, inputs: {{command: [sh, -c, "echo bye >> $OUT"]}}}}
jobs:
- id: a
  steps:
  - {{id: first, type: external.process, inputs: {{command: [sh, -c, "echo first >> $OUT"]}}}}
  - id: second
    type: external.process
    {on_interrupt}
    inputs:
      command: [sh, -c, "trap 'echo ends>>$OUT; exit 1' TERM; echo $$; until [ -e $GO ]; do sleep .05; done"]
  - {{id: third, type: external.process, inputs: {{command: [sh, -c, "echo third >> $OUT"]}}}}
"""
ITEM = "- {{id: a, at: '{at:%Y-%m-%dT%H:%M:%S}', misfire_grace_time: 2h, flow_yaml: flow.yaml"


def serve(cli: CommandLine, *, file: str = "", item: str = ", on_stop: resume", **flow: str) -> Running:
    """Start a server of one item, which fires at once."""
    cli.env |= {"OUT": str(cli.folder / "out"), "GO": str(cli.folder / "go")}
    cli.write("flow.yaml", FLOW.format(**{"on_crash": "", "on_interrupt": ""} | flow))
    past = ITEM.format(at=datetime.now(UTC) - timedelta(hours=1))
    head = "version: 1\nid: night\nshutdown_grace_seconds: 0\n"
    cli.write("scheduler.yaml", f"{head}{file}items:\n{past}{item}}}\n")
    return start(cli)


def start(cli: CommandLine) -> Running:
    return cli.start("serve", "scheduler.yaml", "--log-format", "json")


def firing(cli: CommandLine) -> tuple[str, str, str, bool]:
    query = "SELECT run_id, outcome, server, started_at IS NOT NULL FROM firings"
    [(run_id, outcome, server, has_started)] = cli.query(query)
    return run_id, outcome, server, bool(has_started)


@pytest.mark.parametrize(
    ("where", "on_crash"), [("file", ""), ("item", "on_crash: fail"), ("item", "on_crash: leave")]
)
def test_a_run_that_is_left_is_resumed_by_the_next_server(
    cli: CommandLine, where: str, on_crash: str
) -> None:
    keys = {"item": {}, "file": {"file": "on_stop: resume\n", "item": ""}}[where]
    out = cli.folder / "out"
    with serve(cli, **keys, on_crash=on_crash) as server:
        child = int(server.event("step_output", step_id="second")["text"])
        server.send(signal.SIGTERM)
        left = server.event("cancel_requested")
        done = server.end()

    assert (done.code, done.err.count("\n")) == (143, 1), done
    assert no_trace(done)
    assert (left["cause"], left["reason"]) == ("stop", "the server stops, and the next one resumes the run")
    assert not lives(child)
    assert out.read_text() == "first\nends\n"
    run_id, *rest = firing(cli)
    assert rest == ["QUEUED", "", True]
    shown = cli.run("runs", "show", run_id)
    assert "INTERRUPTED" in shown.out
    assert "the server stops, and the next one resumes the run" in shown.out
    history = cli.run("scheduler", "history", "--file", "scheduler.yaml").out
    assert "its server has stopped; the next server resumes the run" in history

    cli.write("go", "")
    with start(cli) as server:
        hear(
            server,
            ("firing_taken_over", {"run_id": run_id}),
            ("run_resumed", {"attempt": 2}),
            ("firing_finished", {"run_id": run_id, "outcome": "SUCCESS"}),
        )
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    assert out.read_text() == "first\nends\nthird\nbye\n"
    assert firing(cli)[:2] == (run_id, "SUCCESS")


def test_a_step_that_must_not_run_twice_is_not_repeated_after_a_stop(cli: CommandLine) -> None:
    with serve(cli, on_interrupt="on_interrupt: fail") as server:
        server.event("step_output", step_id="second")
        server.send(signal.SIGTERM)
        assert server.end().code == 143
    with start(cli) as server:
        server.event("firing_finished", outcome="FAILED")
        server.send(signal.SIGTERM)
        server.end()
    assert cli.folder.joinpath("out").read_text() == "first\nends\nbye\n"


def test_stops_do_not_count_as_crashes(cli: CommandLine) -> None:
    """A run whose server died four times in a row is ended; one may stop its server as often as one likes."""
    with serve(cli) as server:
        server.event("step_output", step_id="second")
        server.send(signal.SIGTERM)
        server.end()
    for _ in range(3):
        with start(cli) as server:
            server.event("step_output", step_id="second")
            server.send(signal.SIGTERM)
            server.end()
    cli.write("go", "")
    with start(cli) as server:
        server.event("firing_finished", outcome="SUCCESS")
        server.send(signal.SIGTERM)
        server.end()
    assert cli.query("SELECT attempt FROM runs") == [(5,)]


def test_another_server_takes_the_run_at_once(cli: CommandLine) -> None:
    with serve(cli) as first:
        first.event("step_output", step_id="second")
        with start(cli) as second:
            second.event("schedule_loaded")
            first.send(signal.SIGTERM)
            cli.write("go", "")
            hear(second, ("firing_taken_over", {}), ("firing_finished", {"outcome": "SUCCESS"}))
            assert first.end().code == 143
            second.send(signal.SIGTERM)
            assert second.end().code == 143


def test_without_on_stop_a_run_is_cancelled(cli: CommandLine) -> None:
    with serve(cli, item="") as server:
        server.event("step_output", step_id="second")
        server.send(signal.SIGTERM)
        server.event("firing_finished", outcome="CANCELLED")
        assert server.end().code == 143
    assert cli.folder.joinpath("out").read_text() == "first\nends\nbye\n"


def test_a_run_that_somebody_cancelled_stays_cancelled(cli: CommandLine) -> None:
    with serve(cli) as server:
        run_id = server.event("step_output", step_id="second")["run_id"]
        assert cli.run("runs", "cancel", run_id).code == 0
        server.event("cancel_requested")
        server.send(signal.SIGTERM)
        server.event("firing_finished", outcome="CANCELLED")
        assert server.end().code == 143


def test_a_wrong_on_stop_is_found(cli: CommandLine) -> None:
    with serve(cli, item=", on_stop: restart") as server:
        done = server.end()
    assert done.code == 2
    assert "scheduler.yaml:5:" in done.err
    assert "resume" in done.err
