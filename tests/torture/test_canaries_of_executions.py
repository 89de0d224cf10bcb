"""Secrets through first, retried, resumed and crash-resumed executions: not one is found anywhere.

No environment variable holds these secrets. They are in files, in the output of programs, in decoded fields,
in the flow itself under the name of a secret, and in forms that show what they are: URLs, DSNs and headers.
Steps print them before the resource is opened, after it, when the step that opened it is kept, and when
nobody opens it at all.
"""

from __future__ import annotations

import base64
import json
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aetherflow.runs.crash_recovery import MOST_RECOVERIES
from tests.cli.command_line import AETHERFLOW, CommandLine, Result
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import seed
from tests.torture.test_canaries import command_lines_watched, hits, process, spellings
from tests.warm_start import Popen

pytestmark = pytest.mark.torture

FORMS = {
    "query": "https://host/path?day=1&access_token={}&page=2",
    "password_query": "postgresql://host/db?user=me&password={}",
    "token_user": "https://{}@host/repo.git",
    "dsn": "host=db.example dbname=x user=me password={} sslmode=require",
    "header": "curl -H 'Authorization: Bearer {}' https://host/",
}
"""What shows by its form that it holds a secret; nothing else knows these."""

SPEAK = """
import base64, json, pathlib, sys, time, urllib.parse
for file in sorted(pathlib.Path(sys.argv[1]).iterdir()):
    value = file.read_text()
    spellings = [value, json.dumps({"password": value, "other": [value]})]
    if file.name[:4] != "form":
        spellings += [base64.b64encode(value.encode()).decode(), urllib.parse.quote(value, safe=""),
                      repr(value), json.dumps({"nested": [{"n": value}]}), f"https://h/?token={value}&x=1"]
    if value.isdigit():
        spellings += [json.dumps({"n": int(value), "l": [int(value)]}), f"the pin is {value}."]
    for stream in (sys.stdout, sys.stderr):
        for text in spellings:
            print(text, file=stream)
        half = len(value) // 2
        stream.write("in two " + value[:half])
        stream.flush()
        stream.write(value[half:] + " writes\\n")
        stream.flush()
sys.exit(int(sys.argv[2]))
"""

PLUGIN = """
import asyncio, json, logging, pathlib, sys, threading, traceback, warnings
from aetherflow import step

def said(inputs):
    return [file.read_text() for file in sorted(pathlib.Path(inputs["pins"]).iterdir())]

def speak(context, inputs):
    for value in said(inputs):
        print(value)
        print(f"printed {value} on stderr", file=sys.stderr)
        sys.stdout.write(json.dumps({"password": value}) + "\\n")
        logging.getLogger("talk").warning("logged %s", value)
        logging.getLogger("talk").error("with a mapping %s", {"n": value})
        context.log(f"said {value}")
        context.progress(1, 2, note=f"at {value}")
        warnings.warn(f"warned {value}")
        thread = threading.Thread(target=print, args=(f"in a thread {value}",))
        thread.start()
        thread.join()
        try:
            raise LookupError(value)
        except LookupError:
            traceback.print_exc()
        if value.isdigit():
            print({"pin": int(value)}, int(value))
            context.log(int(value))

def end(context, inputs):
    values = said(inputs)
    if inputs.get("fails"):
        try:
            raise KeyError(values[0])
        except KeyError as error:
            local = values
            raise RuntimeError("; ".join(values), {"all": local}) from error
    numbers = [int(value) for value in values if value.isdigit()]
    nested = {"deep": [{"n": number} for number in numbers]}
    keyed = {value: 1 for value in values}
    return {"texts": values, "keyed": keyed, "numbers": numbers, "json": json.dumps(values), "nested": nested}

@step("talk")
def talk(context, inputs):
    '''Say secrets in a thread.'''
    speak(context, inputs)
    return end(context, inputs)

@step("talk_async")
async def talk_async(context, inputs):
    '''Say secrets on the loop.'''
    speak(context, inputs)
    await asyncio.sleep(0)
    for number, value in enumerate(said(inputs)):
        async with context.effect(f"send {number}", detail={"to": value}) as effect:
            effect.result = {"sent": value}
    return end(context, inputs)

@step("open")
async def open_it(context, inputs):
    '''Open a resource.'''
    await context.connector(inputs["resource"])
"""

RESUMES: dict[str, tuple[str, ...]] = {
    "resumed": ("--events", "resumed.jsonl"),
    "json": ("--log-format", "json", "--debug"),
} | ({"text": (), "debug": ("--debug",)} if LARGE else {})
REPORTS = (
    ("runs", "show", "a"),
    ("runs", "show", "a", "--json"),
    ("runs", "list"),
    ("logs", "a"),
    ("locks", "list"),
    ("explain", "flow.yaml"),
    ("validate", "flow.yaml"),
    ("doctor", "flow.yaml", "--connect"),
    ("scheduler", "status", "scheduler.yaml"),
)
PROVIDER = "import base64\n\n\ndef decode(value):\n    return base64.b64decode(value).decode()\n"


class Cellar:
    """Secrets that no variable holds, a flow whose steps print them, and what may not be seen."""

    def __init__(self, cli: CommandLine, number: int) -> None:
        self.cli = cli
        chance = random.Random(number)  # noqa: S311 - repeatable; these secrets protect nothing
        self.pins, self.go, self.up = cli.folder / "pins", cli.folder / "go", cli.folder / "up"

        def word() -> str:
            # letters and digits, as a token has: without them a name alone in a URL is no secret by its form
            return "k7" + "".join(chance.choices("abcdefghijkmnpqrstuvwxyz23456789", k=14))

        self.values = {
            "by_file": str(cli.folder / f"{word()}.sqlite"),
            "by_command": str(cli.folder / f"{word()}.sqlite"),
            "by_decode": str(cli.folder / f"{word()}.sqlite"),
            "never": f"q\"{word()}'/ é+%\\{word()}",
            "literal": word(),
            "number": str(chance.randrange(10**11, 10**12)),
        }
        self.words = [Path(text).name if "/" in text[:1] else text for text in self.values.values()]
        for name, text in self.values.items():
            cli.write(f"pins/{name}", text).chmod(0o600)
            if text.endswith(".sqlite"):
                sqlite3.connect(text).close()
        for name, form in FORMS.items():
            self.words.append(word())
            cli.write(f"pins/form_{name}", form.format(self.words[-1])).chmod(0o600)
        secrets = {*self.words, *self.values.values()}
        found = {spelling for secret in secrets for spelling in spellings(secret)}
        # A spelling that holds another one is found by that.
        self.needles = {one for one in found if not any(other in one for other in found - {one})}
        cli.write("plugins/talk.py", PLUGIN)
        cli.env |= {
            "AETHERFLOW_PLUGIN_PATHS": "plugins",
            "AETHERFLOW_SECRETS_PATH": str(cli.write("provider.py", PROVIDER)),
            "CODED": base64.b64encode(self.values["by_decode"].encode()).decode(),
        }
        cli.write("flow.yaml", json.dumps(self._flow()))
        self.texts: dict[str, bytes] = {}

    def _flow(self) -> dict[str, Any]:
        """Return a flow: one job that is kept, and jobs that print all secrets in many ways and fail."""
        lite = {"kind": "db", "driver": "sqlite3"}
        alchemy = {"kind": "db", "driver": "sqlalchemy"}
        pins = self.pins
        resources = {
            "by_file": lite | {"config": {"path": {"secret": f"file:{pins}/by_file"}}},
            "by_command": lite | {"config": {"path": {"secret": f"command:cat {pins}/by_command"}}},
            "by_decode": lite | {"config": {"path": "{{env.CODED}}"}, "decode": {"config": {"path": True}}},
            "never": alchemy | {"config": {"url": {"secret": f"command:cat {pins}/never"}}},
            "number": alchemy
            | {
                "config": {"url": "sqlite://"},
                "options": {"connect_args": {"password": {"secret": f"file:{pins}/number"}}},
            },
        }
        opens = [
            {"type": "open", "inputs": {"resource": f"by_{way}"}} for way in ("file", "command", "decode")
        ]
        literal = process("true", env={"FTP_PASSWORD": self.values["literal"]})
        before = [*self._speaking(fails=False), *opens, literal, *self._speaking(fails=False)]
        cat = f"for f in {pins}/*; do cat $f; echo; done"
        wait = f"{cat}; touch {self.up}; until test -e {self.go}; do sleep 0.02; done"
        jobs = [{"id": "kept", "steps": _numbered(before)}]
        jobs += [
            {"id": f"j{number}", "depends_on": ["kept"], "steps": _numbered([step])}
            for number, step in enumerate([process("sh", "-c", wait), *self._speaking(fails=True)])
        ]
        each = process("cat", "{{item}}") | {"outputs": {"said": "{{result.stdout}}"}}
        each["inputs"]["log"] = {"stdout": "capture"}
        files = [str(pins / name) for name in (*self.values, *(f"form_{name}" for name in FORMS))]
        jobs.append({"id": "each", "for_each": files, "steps": _numbered([each])})
        talking = {"pins": str(pins)}
        return {
            "version": 1,
            "flow": {
                "id": "canaries",
                "max_parallel_jobs": 3,
                "on_failure": _numbered([process("sh", "-c", cat), {"type": "talk", "inputs": talking}]),
                "on_exit": _numbered([process("echo", "{{run.reason}}", "{{run.errors}}")]),
            },
            "resources": resources,
            "jobs": jobs,
        }

    def _speaking(self, *, fails: bool) -> Iterator[dict[str, Any]]:
        """Yield steps of every type that print or return all secrets."""
        python = (sys.executable, "-I", "-S", "-c", SPEAK, str(self.pins), "3" if fails else "0")
        captured = {"stdout": "capture", "stderr": "capture"}
        said = {"out": "{{result.stdout}}", "err": "{{result.stderr}}"}
        talking = {"pins": str(self.pins), "fails": fails}
        again = {"retry": {"max_attempts": 2, "backoff_seconds": 0}} if fails else {}
        yield process(*python) | again
        yield process(*python, log=captured) | {"outputs": said}
        yield process(*python, log={"stdout": "file", "stderr": "file", "file_path": "said.txt"})
        yield {"type": "talk", "inputs": talking} | again | {"outputs": {"all": "{{result.json}}"}}
        yield {"type": "talk_async", "inputs": talking} | {"outputs": {"n": "{{result.numbers}}"}}
        yield {
            "type": "with_lock",
            "inputs": {"lock_key": "k", "wait_seconds": 30, "step": {"type": "talk", "inputs": talking}},
        }
        if fails:
            bad = {"resource": "by_file", "sql": f"SELECT * FROM t -- {self.values['literal']}"}
            yield {"type": "db_extract", "inputs": bad | {"output": "x.tsv"}}
            # The flow writes this canary itself; that it is masked in the error is what counts.
            yield {"type": "db_extract", "inputs": bad | {"resource": "never", "output": "y.tsv"}}
            counted = {"items": "{{jobs.kept.outputs.n}}", "min_count": 99}
            yield {"type": "check_items", "inputs": counted}

    def run(self, name: str, *words: str, code: int = 1) -> Result:
        """Run a command to its end and keep what it printed."""
        result = self.cli.run(*words)
        assert result.code == code, f"{name}: {result.code}\n{result.err[-3000:]}"
        self.keep(name, result)
        return result

    def keep(self, name: str, result: Result) -> None:
        """Keep what a command printed."""
        assert "AF000" not in result.err
        self.texts |= {f"{name} stdout": result.out.encode(), f"{name} stderr": result.err.encode()}

    @contextmanager
    def running(self, name: str, *words: str) -> Iterator[subprocess.Popen[bytes]]:
        """Start a command that prints to files, and kill it at the end if it still runs."""
        printed = [self.cli.folder / f"{name}.{stream}" for stream in ("stdout", "stderr")]
        with printed[0].open("wb") as out, printed[1].open("wb") as err:
            process: Popen[bytes] = Popen(
                [AETHERFLOW, *words], cwd=self.cli.folder, env=self.cli.env, stdout=out, stderr=err
            )
            try:
                yield process
            finally:
                process.kill()
                process.wait()

    def kill_at_work(self, name: str, *words: str) -> None:
        """Start a command, kill it when the step that waits has printed, and let the next one pass."""
        for file in (self.go, self.up):
            file.unlink(missing_ok=True)
        with self.running(name, *words):
            wait_until(self.up.exists, seconds=30)
            shown = [self.cli.folder / f"{name}.{stream}" for stream in ("stdout", "stderr")]
            wait_until(lambda: any(b"***" in file.read_bytes() for file in shown))
        self.go.touch()

    def files(self) -> dict[str, bytes]:
        """Return all files but those that hold the secrets, and the flow."""
        folder = self.cli.folder
        own = {*self.pins.rglob("*"), folder / "flow.yaml"}
        files = [path for path in folder.rglob("*") if path.is_file() and path not in own]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def _numbered(steps: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    return [{"id": f"s{number}"} | step for number, step in enumerate(steps)]


@contextmanager
def reading(cli: CommandLine) -> Iterator[None]:
    """Keep the write-ahead log of the database from being folded away, so that it can be looked at."""
    reader = sqlite3.connect(cli.state, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()
    try:
        yield
    finally:
        reader.close()


def test_no_canary_is_found_after_any_execution(
    cli: CommandLine, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    cellar = Cellar(cli, number)
    cellar.go.touch()
    executions = 0

    with command_lines_watched(cellar.needles) as seen:
        cellar.run("first", "run", "flow.yaml", "--run-id", "a", "--events", "first.jsonl")
        with reading(cli):
            for name, words in RESUMES.items():
                cellar.run(name, "runs", "retry", "a", *words)
            for again in range(4 if LARGE else 1):
                killed = f"killed{again}"
                cellar.kill_at_work(killed, "run", "flow.yaml", "--run-id", killed)
                cellar.run(f"{killed} resumed", "runs", "retry", killed, "--events", f"{killed}.jsonl")
                executions += 2
            executions += 1 + len(RESUMES) + serve_and_kill(cellar, MOST_RECOVERIES if LARGE else 1)
            for words in REPORTS:
                cellar.keep(" ".join(words), cli.run(*words))
            cellar.texts |= cellar.files()

    assert all(hits(cellar.needles, {word: word.encode()}) for word in cellar.words)
    assert any(
        name.startswith("doctor") and b"connect by_file" in text for name, text in cellar.texts.items()
    )
    assert seen == []
    assert hits(cellar.needles, cellar.texts) == [], f"seed {number}"
    for kind in ("-wal", ".logs", ".jsonl", "stdout", "stderr", "work"):
        assert b"***" in b"".join(text for name, text in cellar.texts.items() if kind in name), kind
    size = sum(map(len, cellar.texts.values())) / 1e6
    record_property(
        "torture",
        f"canaries of executions, seed {number}: {executions} executions, {len(cellar.words)} secrets, "
        f"{len(cellar.needles)} spellings, {len(cellar.texts)} places, {size:.1f} MB, 0 hits",
    )


def serve_and_kill(cellar: Cellar, times: int) -> int:
    """Let a server resume a run whose server was killed at work, several times; return the executions."""
    cli = cellar.cli
    item = "{id: a, interval_seconds: 1, overlap: skip, flow_yaml: flow.yaml}"
    cli.write("scheduler.yaml", f"version: 1\nid: night\nitems:\n- {item}\n")
    for again in range(times):
        cellar.kill_at_work(f"server{again}", "serve", "scheduler.yaml", "--events", f"server{again}.jsonl")
    (run_id,) = cli.query("SELECT run_id FROM firings WHERE outcome = 'RUNNING'")[0]
    status = f"SELECT status, attempt FROM runs WHERE run_id = '{run_id}'"
    with cellar.running("server", "serve", "scheduler.yaml", "--log-format", "json") as server:
        wait_until(lambda: cli.query(status)[0][0] == "FAILED", seconds=30)
        server.send_signal(signal.SIGTERM)
        server.wait(30)
    assert cli.query(status) == [("FAILED", times + 1)]
    return times + 1
