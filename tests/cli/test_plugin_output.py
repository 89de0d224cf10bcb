"""What plugin code prints, warns and logs: lines of its step, masked; reports and JSON streams stay clean."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest

from tests.cli.command_line import CommandLine, Result, flow, no_trace

SECRET = "hunter2hunter2"  # noqa: S105 - a canary
ENV = {"AETHERFLOW_PLUGIN_PATHS": "plugins", "MY_PASSWORD": SECRET}
HEAD = """\
import asyncio, logging, multiprocessing, os, subprocess, sys, threading, time, warnings
from aetherflow import StepContext, step

SECRET = os.environ["MY_PASSWORD"]
log = logging.getLogger(__name__)


def in_thread(text):
    thread = threading.Thread(target=lambda: print(text))
    thread.start()
    thread.join()


@step("mine")
"""
NOISY = f"""{HEAD}
async def mine(context: StepContext, inputs: dict):
    print("printed", SECRET)
    sys.stderr.write(f"written {{SECRET}}\\n")
    sys.stdout.buffer.write(b"bytes \\xff\\n")
    warnings.warn(f"warned {{SECRET}}")
    log.info("own info")
    logging.info("root info")
    logging.getLogger("library").info("library info")
    logging.getLogger("library").warning("library warning %s", SECRET)
    library = logging.getLogger("chosen")
    library.setLevel(logging.DEBUG)
    library.debug("chosen debug")
    try:
        raise ValueError(SECRET)
    except ValueError:
        log.exception("it failed")
    in_thread("thread of the loop")
    await context.run_sync(in_thread, "thread of a thread")
    await context.run_blocking(print, "worker")
    print("no end", end="")


print("at import", SECRET)
log.info("logged at import")
"""
STEP = flow("- {id: s, type: mine}")


def plugin(body: str) -> str:
    """Return a plugin whose step `mine` is sync and has this body."""
    lines = "".join(f"    {line}\n" for line in body.splitlines())
    return f"{HEAD}def mine(context: StepContext, inputs: dict):\n{lines}"


def shown(result: Result) -> list[tuple[str, str, str]]:
    """Return step, level and text of all lines and notices of a JSON log; every line is JSON."""
    events = [json.loads(line) for line in result.out.splitlines()]
    return [
        (event.get("step_id", ""), event["level"], event.get("text") or event.get("message") or "")
        for event in events
        if event["event"] in ("step_output", "notice")
    ]


def run_json(cli: CommandLine, source: str, *options: str, steps: str = STEP) -> Result:
    cli.write("plugins/a.py", source)
    cli.write("flow.yaml", steps)
    result = cli.run("run", "flow.yaml", "--run-id", "r", "--log-format", "json", *options, env=ENV)
    assert SECRET not in result.out + result.err
    return result


def test_all_that_a_step_writes_is_a_line_of_the_step_and_masked(cli: CommandLine) -> None:
    result = run_json(cli, NOISY, "--events", "events.jsonl")

    lines = shown(result)
    assert (result.code, result.err) == (0, "")
    assert lines[:2] == [("", "info", "printed: at import ***"), ("", "info", "printed: a: logged at import")]
    plugin_file = cli.folder / "plugins/a.py"
    where = NOISY[: NOISY.index("warnings.warn")].count("\n") + 1
    warned = f'{plugin_file}:{where}: UserWarning: warned ***\n  warnings.warn(f"warned {{SECRET}}")'
    failed = next(text for _, _, text in lines if text.startswith("a: it failed"))
    assert lines[2:] == [
        ("s", "info", "printed ***"),
        ("s", "info", "written ***"),
        ("s", "info", "bytes \\xff"),
        ("s", "warning", warned),
        ("s", "info", "a: own info"),
        ("s", "info", "root info"),
        ("s", "warning", "library: library warning ***"),
        ("s", "error", failed),
        ("s", "info", "thread of the loop"),
        ("s", "info", "thread of a thread"),
        ("s", "info", "worker"),
        ("s", "info", "no end"),
    ]
    assert failed.startswith("a: it failed\nTraceback (most recent call last):\n")
    assert failed.endswith("ValueError: ***")
    logs = cli.run("logs", "r").out
    for text in ("printed ***", "library: library warning ***", "ValueError: ***", "no end"):
        assert text in logs
    events = (cli.folder / "events.jsonl").read_text(encoding="utf-8")
    assert SECRET not in logs + events
    assert "chosen: chosen debug" in events


def test_in_text_standard_output_is_empty_and_debug_shows_libraries(cli: CommandLine) -> None:
    cli.write("plugins/a.py", NOISY)
    cli.write("flow.yaml", STEP)

    result = cli.run("run", "flow.yaml", env=ENV)
    debug = cli.run("run", "flow.yaml", env=ENV | {"AETHERFLOW_LOG_LEVEL": "debug"})

    assert (result.code, result.out, debug.code, debug.out) == (0, "", 0, "")
    assert "INFO  a.s | printed ***\n" in result.err
    assert "WARN  a.s  library: library warning ***\n" in result.err
    assert "library info" not in result.err
    assert "INFO  a.s  library: library info\n" in debug.err
    assert "aiosqlite" not in debug.err
    assert SECRET not in result.err + debug.err


REPORTS: dict[str, list[str]] = {
    "validate": ["validate", "flow.yaml", "--json"],
    "explain": ["explain", "flow.yaml", "--json"],
    "doctor": ["doctor", "flow.yaml", "--json"],
    "doctor without a flow": ["doctor", "--json"],
    "graph": ["graph", "flow.yaml", "--json"],
    "steps list": ["steps", "list", "--json"],
    "steps show": ["steps", "show", "mine", "--json"],
    "connectors list": ["connectors", "list", "--json"],
    "runs list": ["runs", "list", "--json"],
    "dry run": ["run", "flow.yaml", "--dry-run", "--log-format", "json"],
    "schema": ["schema"],
}
PROVIDER = """\
import logging, os
print("provider", os.environ["MY_PASSWORD"], "from-the-vault")
logging.warning("provider %s", "from-the-vault")

def expand_env(env):
    print("expand from-the-vault")
    return {"VAULT_TOKEN": "from-the-vault"}
"""


@pytest.mark.parametrize("command", REPORTS)
def test_a_report_in_json_is_json_though_plugins_print(cli: CommandLine, command: str) -> None:
    cli.write("plugins/a.py", NOISY)
    cli.write("flow.yaml", STEP)
    cli.write("other.yaml", flow("- {id: s, type: check_items, inputs: {items: [x]}}"))
    cli.run("run", "other.yaml")
    provider = {"AETHERFLOW_SECRETS_PATH": str(cli.write("provider.py", PROVIDER))}

    result = cli.run(*REPORTS[command], env=ENV | provider)

    assert result.code == 0, result
    result.json()
    assert no_trace(result)
    assert SECRET not in result.out + result.err
    assert "from-the-vault" not in result.out + result.err
    if command in ("validate", "steps show"):
        assert "at import ***\n" in result.err
    if command == "doctor":
        assert "expand ***\n" in result.err


def test_a_step_that_prints_in_a_loop_is_bounded_and_its_losses_are_counted(cli: CommandLine) -> None:
    body = "for number in range(30_000):\n    print('line', number, 'x' * 30)"
    beside = "jobs:\n  - {id: b, steps: [{id: s, type: check_items, inputs: {items: [x]}}]}"
    result = run_json(cli, plugin(body), steps=STEP.replace("jobs:", beside))

    texts = [text for _, _, text in shown(result)]
    assert result.code == 0
    assert texts[0] == "line 0 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"
    is_counted = any("came too fast to be shown" in text or "was too slow" in text for text in texts)
    assert is_counted or len(texts) == 30_000  # on a slow machine they can all be shown
    (log,) = cli.state.parent.rglob("s.1.log")
    assert log.read_text(encoding="utf-8").count("\n") == 30_000


def test_an_async_step_that_prints_without_a_pause_does_not_fill_the_memory(cli: CommandLine) -> None:
    body = "for number in range(10):\n    print('x' * 2_000_000)"
    result = run_json(cli, plugin(body).replace("def mine", "async def mine"))

    assert result.code == 0
    assert any("bytes of output came too fast and are lost" in text for _, _, text in shown(result))


def test_a_step_may_wait_on_the_event_loop_for_a_thread_that_prints(cli: CommandLine) -> None:
    body = "in_thread('x' * 3_000_000)\nfor number in range(20):\n    in_thread(f'joined {number}')"
    result = run_json(cli, plugin(body).replace("def mine", "async def mine"))

    assert result.code == 0
    assert [text for _, _, text in shown(result) if text.startswith("joined")]


def test_processes_destructors_and_progress_bars(cli: CommandLine) -> None:
    result = run_json(
        cli,
        plugin(
            """\
subprocess.run(["echo", "of a program"], stdout=sys.stdout, check=True)
fork = multiprocessing.get_context("fork").Process(target=lambda: print("of a fork", SECRET))
fork.start()
fork.join()
class Dies:
    def __del__(self):
        print("destroyed")
        raise SystemExit(SECRET)
Dies()
for done in range(5):
    print(f"\\rdone {done}", end="", flush=True)
print()
sys.stdout.reconfigure(encoding="utf-8")
log.error("%d", "no number")
print(sys.stdout.encoding, sys.stdout.isatty(), sys.stdout.writable())
"""
        ),
    )

    texts = [text for _, _, text in shown(result)]
    assert result.code == 0
    assert sorted(result.err.splitlines()) == ["of a fork ***", "of a program"]
    assert {"--- Logging error ---", "destroyed", "SystemExit: ***", "done 4", "utf-8 False True"} <= set(
        texts
    )


def test_a_thread_that_outlives_its_step_writes_to_the_log_of_the_run(cli: CommandLine) -> None:
    later = """\
def go():
    for number in range(3):
        time.sleep(0.1)
        print("late", number, SECRET)
    open("printed", "w").close()
threading.Thread(target=go).start()"""
    until = f"until [ -e {cli.folder}/printed ]; do sleep 0.05; done; sleep 0.5"
    waits = f"- {{id: w, type: external.process, inputs: {{command: [sh, -c, '{until}']}}}}"
    result = run_json(cli, plugin(later), steps=flow(f"- {{id: s, type: mine}}\n{waits}"))

    assert result.code == 0
    late = [line for line in shown(result) if "late" in line[2]]
    assert late == [("s", "info", f"late {number} ***") for number in range(3)]


CONNECTOR = """\
import os
from aetherflow import CheckResult, Connector, StepContext, connector, step

@connector("my:own")
class Mine(Connector):
    @classmethod
    async def open(cls, resource):
        print("open", resource.config["password"])
        return cls()

    async def check(self):
        print("check")
        return [CheckResult("login", "ok", "fine")]

    async def aclose(self):
        print("close")

@step("mine")
async def mine(context: StepContext, inputs: dict):
    await context.connector("r")
"""
DECODES = "def decode(value):\n    print('decoding', value[::-1])\n    return value[::-1]\n"
RESOURCE = """\
flow: {id: f}
resources:
  r: {kind: my, driver: own, config: {password: 'drowssap-terces'}, decode: {config: {password: true}}}
"""


def test_connectors_and_providers_print_to_the_step_that_uses_them(cli: CommandLine) -> None:
    env: dict[str, Any] = {"AETHERFLOW_SECRETS_PATH": str(cli.write("provider.py", DECODES))}
    cli.write("plugins/a.py", CONNECTOR)
    cli.write("flow.yaml", flow("- {id: s, type: mine}", head=RESOURCE))

    run = cli.run("run", "flow.yaml", "--log-format", "json", env=ENV | env)
    doctor = cli.run("doctor", "flow.yaml", "--connect", "--json", env=ENV | env)

    assert (run.code, doctor.code) == (0, 0), (run, doctor)
    assert "secret-password" not in run.out + run.err + doctor.out + doctor.err
    lines = shown(run)
    assert ("s", "info", "open ***") in lines
    assert ("", "info", "printed: close") in lines
    assert {"open ***", "check", "close"} <= set(doctor.err.splitlines())
    assert doctor.json()["ok"]


FOREIGN = {
    "GeneratorExit": "raise GeneratorExit",
    "of a task": "async def f():\n    raise GeneratorExit\nawait asyncio.ensure_future(f())",
    "SystemExit": "sys.exit(3)",
    "CancelledError": "raise asyncio.CancelledError",
    "own task": "asyncio.current_task().cancel()\nraise ValueError",
    "every task": "for task in asyncio.all_tasks():\n    task.cancel()\nawait asyncio.sleep(9)",
    "every task and its own": "for task in asyncio.all_tasks():\n    task.cancel()\nraise ValueError",
    "stop": "asyncio.get_running_loop().stop()\nawait asyncio.sleep(0.1)\nraise ValueError",
    "task group": """\
async def leave():
    await asyncio.sleep(0.1)
    sys.exit(3)
async with asyncio.TaskGroup() as tasks:
    tasks.create_task(asyncio.sleep(9))
    tasks.create_task(leave())
""",
    "callback": "asyncio.get_running_loop().call_soon(sys.exit, 3)\n"
    "await asyncio.sleep(0.1)\nraise ValueError",
    "lock": "async with context.lock('k'):\n    for task in asyncio.all_tasks():\n        task.cancel()\n"
    "    await asyncio.sleep(9)",
}
WAITS = """

@step("waits")
async def waits(context: StepContext, inputs: dict):
    await asyncio.sleep(0.5)
"""
SAID = {
    "stop": "code on the event loop stopped it; the loop continues\n",
    "task group": "code on the event loop raised SystemExit: 3; the loop continues\n",
    "callback": "code on the event loop raised SystemExit: 3; the loop continues\n",
}


@pytest.mark.parametrize("what", FOREIGN)
def test_what_a_step_raises_ends_the_step_alone_and_its_words_are_shown(cli: CommandLine, what: str) -> None:
    body = f"print('before')\n{FOREIGN[what]}"
    beside = (
        "jobs:\n  - {id: b, steps: [{id: w, type: external.process, inputs: {command: [sleep, '0.5']}}]}\n"
        "  - {id: c, steps: [{id: waits, type: waits}]}"
    )
    hook = "flow: {id: f, on_exit: [{id: h, type: check_items, inputs: {items: [x]}}]}"
    steps = flow("- {id: s, type: mine}", head=hook).replace("jobs:", beside)
    source = plugin(body).replace("def mine", "async def mine")
    result = run_json(cli, source + WAITS, steps=steps)

    assert (result.code, result.err) == (1, SAID.get(what, ""))
    assert ("s", "info", "before") in shown(result)
    found = cli.query("select step_id, status from step_state order by step_id")
    assert found == [("h", "SUCCESS"), ("s", "FAILED"), ("w", "SUCCESS"), ("waits", "SUCCESS")]


BESIDE = """

@step("quick")
async def quick(context: StepContext, inputs: dict):
    pass

@step("thread")
def thread(context: StepContext, inputs: dict):
    pass
"""


CANCEL = """\
def again(left: int) -> None:
    for task in asyncio.all_tasks():
        task.cancel()
    if left:
        asyncio.get_running_loop().call_soon(again, left - 1)
again({})"""
"""Cancels every task, and in so many turns of the loop after it those that were started meanwhile."""


@pytest.mark.parametrize("turns", [0, 200])
def test_a_step_that_cancels_every_task_ends_none_of_the_steps_that_begin_meanwhile(
    cli: CommandLine, turns: int
) -> None:
    source = plugin(CANCEL.format(turns)).replace("def mine", "async def mine")
    kinds = ["quick", "thread", "mine"] * 40
    jobs = [
        f"  - {{id: j{number}, "
        f"steps: [{{id: s, type: {kind}, continue_on_error: true}}, {{id: q, type: quick}}]}}"
        for number, kind in enumerate(kinds)
    ]
    result = run_json(
        cli, source + BESIDE, steps="\n".join(["version: 1", "flow: {id: f}", "jobs:", *jobs, ""])
    )

    assert result.code == 0, result
    ended = cli.query("select job_id from step_state where status <> 'SUCCESS'")
    assert {kinds[int(job_id[1:])] for (job_id,) in ended} <= {"mine"}


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "SystemExit", "GeneratorExit"])
def test_what_a_plugin_raises_at_import_is_a_diagnostic(cli: CommandLine, error: str) -> None:
    cli.write("plugins/a.py", f"raise {error}('words')")
    cli.write("flow.yaml", STEP)

    result = cli.run("validate", "flow.yaml", env=ENV)

    assert result.code == 2
    assert f"error[AF582]: the plugin cannot be loaded: {error}: words" in result.err
    assert no_trace(result)


def test_a_metrics_module_prints_to_the_run(cli: CommandLine) -> None:
    cli.write(
        "metrics_of_mine.py",
        "print('metrics at import')\n"
        "class Metrics:\n    def on_run_start(self, **ids):\n        print('hook')\n"
        "METRICS = Metrics()\n",
    )
    cli.write("flow.yaml", flow("- {id: s, type: check_items, inputs: {items: [x]}}"))
    env = {"AETHERFLOW_METRICS_MODULE": "metrics_of_mine", "PYTHONPATH": str(cli.folder)}

    result = cli.run("run", "flow.yaml", "--log-format", "json", env=os.environ | cli.env | env)

    assert result.code == 0
    assert ("", "info", "printed: metrics at import") in shown(result)
    assert "hook" in result.out + result.err


def test_what_a_metrics_module_raises_is_masked(cli: CommandLine) -> None:
    cli.write(
        "metrics_of_mine.py",
        "import os\n\ndef METRICS(event):\n    raise ValueError(os.environ['APP_SECRET'])\n",
    )
    cli.write("flow.yaml", flow("- {id: s, type: external.process, inputs: {command: ['true']}}"))
    env = {
        "AETHERFLOW_METRICS_MODULE": "metrics_of_mine",
        "PYTHONPATH": str(cli.folder),
        "APP_SECRET": SECRET,
    }
    result = cli.run("run", "flow.yaml", "--events", "events.jsonl", env=env)
    events = (cli.folder / "events.jsonl").read_text()
    assert result.code == 0, result.err
    assert result.err.count("ValueError: ***") == 2
    assert "was detached: ValueError: ***" in events
    assert SECRET not in result.out + result.err + events
