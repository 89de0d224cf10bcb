"""What a run could open is masked from its first line, in every execution of it, with the real command."""

from __future__ import annotations

import base64
import re
import signal
import sqlite3

import pytest

from tests.cli import command_line
from tests.cli.bundle_files import MANIFEST, OPTION
from tests.cli.command_line import CommandLine, Result
from tests.cli.test_serve import EVERY_SECOND, begun, hear, serve

CANARY = "canary-7f3a9c"
PROVIDER = "import base64\n\n\ndef decode(value):\n    return base64.b64decode(value).decode()\n"
FIELDS = {
    "file": 'path: {secret: "file:pin"}',
    "command": 'path: {secret: "command:cat pin"}',
    "decode": "path: '{{env.CODED}}'}, decode: {config: {path: true}",
}


def leaking(cli: CommandLine, field: str, last: str = "cat pin >&2; exit 3") -> str:
    """Return a flow that prints a secret before and after a step opens the resource with it, then fails."""
    text = (
        "version: 1\nflow: {id: f}\n"
        f"resources:\n  db: {{kind: db, driver: sqlite3, config: {{{field}}}}}\n"
        "jobs:\n- id: a\n  steps:\n"
        "  - {id: before, type: external.process, inputs: {command: [cat, pin]}}\n"
        "  - {id: x, type: db_extract, inputs: {resource: db, sql: 'SELECT 1 AS a', output: x.tsv}}\n"
        "- id: b\n  depends_on: [a]\n  steps:\n"
        f"  - {{id: after, type: external.process, inputs: {{command: [sh, -c, {last!r}]}}}}\n"
    )
    return re.sub(r"\b(cat,? |file:)pin", rf"\1{cli.folder}/pin", text)


@pytest.fixture
def pin(cli: CommandLine) -> str:
    """A secret in a file: the path of a database."""
    text = str(cli.folder / CANARY)
    sqlite3.connect(text).close()
    cli.write("pin", f"{text}\n").chmod(0o600)
    provider = cli.write("provider.py", PROVIDER)
    cli.env |= {
        "AETHERFLOW_SECRETS_PATH": str(provider),
        "CODED": base64.b64encode(text.encode()).decode(),
    }
    return text


def is_masked(cli: CommandLine, *results: Result) -> bool:
    """Whether the secret is neither printed nor stored, and a mask is."""
    printed = "".join(result.out + result.err for result in results)
    files = [path for path in cli.folder.rglob("*") if path.is_file() and path.name not in ("pin", CANARY)]
    stored = b"".join(path.read_bytes() for path in files)
    return CANARY not in printed and CANARY.encode() not in stored and "***" in printed and b"***" in stored


@pytest.mark.parametrize("way", FIELDS)
def test_a_resumed_run_masks_what_only_its_first_execution_opened(
    cli: CommandLine, pin: str, way: str
) -> None:
    cli.write("flow.yaml", leaking(cli, FIELDS[way]))
    first = cli.run("run", "flow.yaml", "--run-id", "r", "--events", "events.jsonl")
    again = cli.run("runs", "retry", "r", "--events", "more.jsonl")
    shown = cli.run("runs", "show", "r")

    assert (first.code, again.code, shown.code) == (1, 1, 0), (first, again)
    assert "kept: a.before (SUCCESS), a.x (SUCCESS)" in again.err + again.out
    assert pin.endswith(CANARY)
    assert is_masked(cli, first)
    assert is_masked(cli, again)
    assert is_masked(cli, shown)


def test_a_run_that_a_server_resumes_after_kill_9_masks_it_too(cli: CommandLine, pin: str) -> None:
    last = f"cat pin; until test -e {cli.folder}/go; do sleep 0.02; done"
    flow = leaking(cli, FIELDS["command"], last)
    once = EVERY_SECOND.replace("interval_seconds: 1", "interval_seconds: 1, overlap: skip")
    with serve(cli, once, flow) as server:
        run_id = begun(server)
        server.event("step_output", step_id="after", text="***")
        server.process.kill()
        killed = server.end()
    with serve(cli, once, flow) as server:
        hear(server, ("run_resumed", {"run_id": run_id}))
        server.event("step_output", step_id="after", text="***")
        (cli.folder / "go").touch()
        server.event("firing_finished", run_id=run_id, outcome="SUCCESS")
        server.send(signal.SIGTERM)
        ended = server.end()
    assert (pin in killed.out + killed.err, pin in ended.out + ended.err) == (False, False)
    assert cli.query(f"SELECT attempt FROM runs WHERE run_id = '{run_id}'") == [(2,)]
    assert b"canary" not in b"".join(p.read_bytes() for p in cli.state.parent.rglob("*") if p.is_file())


def test_a_resumed_run_of_a_bundle_masks_what_its_manifest_its_env_file_and_its_provider_give(
    cli: CommandLine, pin: str
) -> None:
    del cli.env["AETHERFLOW_SECRETS_PATH"], cli.env["CODED"]
    coded = base64.b64encode(pin.encode()).decode()
    provider = cli.folder / "provider.py"
    cli.write("share/night.env", f"AETHERFLOW_SECRETS_PATH={provider}\nCODED={coded}\n")
    flow, _, jobs = leaking(cli, FIELDS["decode"]).partition("jobs:")
    cli.write("share/flows/hello.yaml", f"version: 1\nflow: {{id: f}}\njobs:{jobs}")
    cli.write("bundle.yaml", f"{MANIFEST}env_files: [{{path: night.env}}]\n{flow.partition('{id: f}')[2]}")
    first = cli.run("run", *OPTION, "--run-id", "r")
    again = cli.run("runs", "retry", "r")

    assert (first.code, again.code) == (1, 1), (first, again)
    assert "kept: a.before (SUCCESS), a.x (SUCCESS)" in again.err + again.out
    assert is_masked(cli, first)
    assert is_masked(cli, again)


def test_a_parameter_that_an_input_under_the_name_of_a_secret_gets_is_a_secret_parameter(
    cli: CommandLine,
) -> None:
    steps = (
        f"- {{id: s, type: external.process, inputs: {{command: [sh, -c, 'echo {CANARY}; exit 3']}}}}\n"
        "- {id: t, type: external.process, inputs: {command: [env], env: {MY_TOKEN: '{{params.x}}'}}}\n"
    )
    cli.write("flow.yaml", command_line.flow(steps, "flow: {id: f, params: {x: {}}}"))
    first = cli.run("run", "flow.yaml", "--run-id", "r", "--param", f"x={CANARY}")
    refused = cli.run("runs", "retry", "r")
    again = cli.run("runs", "retry", "r", "--param", f"x={CANARY}")

    assert (first.code, refused.code, again.code) == (1, 2, 1)
    assert "runs retry r --state" in first.err + first.out
    assert "--param x=VALUE" in first.err + first.out
    assert "error[AF561]: the parameter 'x' of run r is secret" in refused.err
    (cli.folder / "flow.yaml").unlink()
    assert is_masked(cli, first)
    assert is_masked(cli, again)


def test_a_run_that_a_server_resumes_after_kill_9_has_the_secret_parameters_of_its_item(
    cli: CommandLine,
) -> None:
    go = cli.folder / "go"
    waits = (
        f'echo up; until test -e {go}; do sleep 0.02; done; echo "$T $N"; test "$T $N" = "{CANARY} 86753094"'
    )
    steps = (
        f"- {{id: s, type: external.process, inputs: {{command: [sh, -c, '{waits}'], "
        "env: {T: '{{params.api_token}}', N: '{{params.db_token}}'}}}\n"
    )
    head = "flow: {id: f, params: {api_token: {required: true}, db_token: {type: int, required: true}}}"
    flow = command_line.flow(steps, head)
    item = f"interval_seconds: 1, overlap: skip, params: {{api_token: {CANARY}, db_token: 86753094}}"
    once = EVERY_SECOND.replace("interval_seconds: 1", item)
    with serve(cli, once, flow) as server:
        run_id = begun(server)
        server.process.kill()
        server.end()
    with serve(cli, once, flow) as server:
        hear(server, ("run_resumed", {"run_id": run_id}))
        go.touch()
        server.event("firing_finished", run_id=run_id, outcome="SUCCESS")
        server.send(signal.SIGTERM)
        ended = server.end()
    assert "AF561" not in ended.out + ended.err
    assert cli.query(f"SELECT attempt, status FROM runs WHERE run_id = '{run_id}'") == [(2, "SUCCESS")]
    stored = b"".join(path.read_bytes() for path in cli.state.parent.rglob("*") if path.is_file())
    assert (CANARY.encode() in stored, b"86753094" in stored) == (False, False)
