"""Secrets through every built-in step and its failures: not one is found where AetherFlow writes or shows."""

from __future__ import annotations

import base64
import json
import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.cli.command_line import OK, CommandLine
from tests.sizes import LARGE
from tests.torture.processes import seed

pytestmark = pytest.mark.torture

NAMES = ("PLAIN_TOKEN", "LINES_SECRET", "ODD_PASSWORD", "EXPANDED_TOKEN")
ALCHEMY = {"driver": "sqlalchemy", "decode": {"config": {"url": True}}}
RESOURCES: dict[str, dict[str, Any]] = {
    "lite": {"driver": "sqlite3", "config": {"path": "{{env.DATA}}"}},
    "nowhere": {"driver": "sqlite3", "config": {"path": "/dev/null/{{env.PLAIN_TOKEN}}/x.db"}},
    "driver": {"driver": "sqlalchemy", "config": {"url": "nodb://me:{{env.PLAIN_TOKEN}}@host/x"}},
    "decoded": ALCHEMY | {"config": {"url": "{{env.URL_CODED}}"}},
    "refused": ALCHEMY | {"config": {"url": "{{env.REFUSED_CODED}}"}},
    "from_env": ALCHEMY | {"config": {"url": {"secret": "env:URL_CODED"}}},
    "from_program": {
        "driver": "sqlalchemy",
        "config": {"url": {"secret": "command:sh -c 'printf nodb://me:%s@host/x $PLAIN_TOKEN'"}},
    },
    "options": {
        "driver": "sqlalchemy",
        "config": {"url": "sqlite://"},
        "options": {"pool_size": "{{env.PLAIN_TOKEN}}"},
    },
}
REPORTS = (
    ("runs", "show", "text"),
    ("runs", "show", "text", "--json"),
    ("runs", "list"),
    ("logs", "text"),
    ("locks", "list"),
    ("state", "list"),
    ("explain", "flow.yaml"),
    ("explain", "flow.yaml", "--json"),
    ("doctor", "flow.yaml"),
    ("doctor", "flow.yaml", "--connect", "--json"),
)
WORD_LETTERS = 16
PROVIDER = """
import base64

def expand_env(env):
    return {"EXPANDED_TOKEN": env["PLAIN_TOKEN"][::-1]}

def decode(value):
    text = base64.b64decode(value).decode()
    if "refuse" in text:
        raise ValueError(f"no key fits {value} ({text})")
    return text
"""
SPEAK = """
import base64, json, os, sys, time, urllib.parse
streams = (sys.stdout, sys.stderr)
for name in ("PLAIN_TOKEN", "LINES_SECRET", "ODD_PASSWORD", "EXPANDED_TOKEN", "LONG_SECRET"):
    value = os.environ[name]
    coded = base64.b64encode(value.encode()).decode()
    inside = base64.b64encode(b"user:" + value.encode() + b"!").decode()
    lines = base64.encodebytes(value.encode()).decode()
    pem = "\\n".join(coded[start : start + 64] for start in range(0, len(coded), 64))
    spellings = [value, coded, lines, pem, inside]
    spellings += [urllib.parse.quote(value), urllib.parse.quote(value, safe=""),
                  urllib.parse.quote_plus(value), json.dumps(value), repr(value), f"{value} twice {value}"]
    for stream in streams:
        for text in spellings:
            print(text, file=stream)
        half = len(value) // 2
        stream.write("in two " + value[:half])
        stream.flush()
        time.sleep(0.05)
        stream.write(value[half:] + " writes\\n")
        stream.flush()
        for before in (8185, 65530):
            stream.write("x" * before + value.replace("\\n", " ") + "\\n")
            stream.write("x" * before + value)
            stream.flush()
        stream.write("\\n")
sys.exit(int(sys.argv[1]))
"""


def secrets(chance: random.Random) -> dict[str, str]:
    """Return the canaries by the variable that holds them."""

    def word() -> str:
        return "".join(chance.choices("abcdefghijkmnpqrstuvwxyz23456789", k=WORD_LETTERS))

    return {
        "PLAIN_TOKEN": word(),
        "LINES_SECRET": f"{word()}\n{word()}",
        "ODD_PASSWORD": f"q\"{word()}'/ é+%\\{word()}",
        "LONG_SECRET": "\n".join(word() * 4 for _ in range(9)),
    }


def spellings(value: str) -> set[bytes]:
    """Return how a secret may look, whole or a line or half of it; each is long enough to be no accident."""
    found = set()
    for part in {value, *value.splitlines()}:
        raw = part.encode()
        found |= {part, quote(part), quote(part, safe=""), quote_plus(part), json.dumps(part)[1:-1]}
        found |= {json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1]}
        found |= {
            base64.b64encode(raw).decode().rstrip("="),
            base64.urlsafe_b64encode(raw).decode().rstrip("="),
        }
        for width in (64, 76):
            text = base64.b64encode(raw).decode()
            found |= {line for n in range(0, len(text), width) if len(line := text[n : n + width]) > 16}
    return {text.encode() for text in found} | {text.encode() for text in _cores(value)}


def _cores(value: str) -> Iterator[str]:
    """Yield the random words in a secret: no spelling of it in clear is without them."""
    word = ""
    for letter in f"{value} ":
        if letter.isascii() and letter.isalnum():
            word += letter
        else:
            if len(word) >= WORD_LETTERS:
                yield word[-WORD_LETTERS:]
            word = ""


def process(*command: str, **inputs: Any) -> dict[str, Any]:
    """Return a step that runs a program."""
    return {"type": "external.process", "inputs": {"command": list(command), **inputs}}


def speaking_steps() -> Iterator[dict[str, Any]]:
    """Yield programs that say their secrets in many ways: kept, shown, captured, at the end and cut off."""
    python = (sys.executable, "-I", "-S", "-c")
    said = {"out": "{{result.stdout}}", "err": "{{result.stderr}}"}
    captured = {"stdout": "capture", "stderr": "capture"}
    for code in ("0", "3"):
        yield process(*python, SPEAK, code)
        yield process(*python, SPEAK, code, log=captured) | {"outputs": said}
    yield process(*python, SPEAK.replace("sys.exit(", "time.sleep(9 + "), "0") | {"timeout_seconds": 2}


def steps_with(token: str) -> Iterator[dict[str, Any]]:
    """Yield steps that hold a secret in every input that takes a text, and some that do not; most fail."""
    yield process(token)
    yield process("false", token)
    yield process("true", cwd=token)
    yield process("sh", "-c", "exit 3", env={"HARMLESS": token})
    yield process("true", success={"require_files": [token]})
    yield process("true", timeout_seconds=token)
    yield process("true", success={"exit_codes": [token]})
    yield process("true", log={"stdout": token})
    counting = {"type": "check_items", "inputs": {"items": [token]}}
    yield counting | {"outputs": {"seen": token, "count": "{{result.count}}"}}
    yield process("true") | {"outputs": {"bad": f"{token}{{{{result.none}}}}"}}
    yield {"type": "check_items", "inputs": {"items": token, "min_count": 99}}
    yield {"type": "check_items", "inputs": {"items": [], "min_count": token}}
    yield {
        "type": "with_lock",
        "inputs": {"lock_key": "k", "wait_seconds": 9, "step": process("false", token)},
    }
    yield {"type": "with_lock", "inputs": {"lock_key": "k", "wait_seconds": 9, "step": {"type": token}}}
    yield {"type": "with_lock", "inputs": {"lock_key": "k", "ttl_seconds": token, "step": counting}}
    query = {"sql": f"SELECT '{token}' FROM missing", "output": "rows.csv", "format": "jsonl"}
    for resource in RESOURCES:
        yield {"type": "db_extract", "inputs": query | {"resource": resource}}
    bad = {"resource": "lite", "sql": "SELECT 1", "output": f"{token}/rows.csv", "format": token}
    yield {"type": "db_extract", "inputs": bad}


def flow_text(names: Iterable[str]) -> str:
    """Return a flow (JSON is YAML) with a job for each way in which one of these secrets might get out."""
    steps = [*speaking_steps(), *(step for name in names for step in steps_with(f"{{{{env.{name}}}}}"))]
    return json.dumps(
        {
            "version": 1,
            "flow": {"id": "canaries", "max_parallel_jobs": 4},
            "resources": {name: {"kind": "db", **resource} for name, resource in RESOURCES.items()},
            "jobs": [
                {"id": f"j{number}", "steps": [{"id": "s"} | step]} for number, step in enumerate(steps)
            ],
        }
    )


@contextmanager
def command_lines_watched(needles: set[bytes]) -> Iterator[list[bytes]]:
    """Look at the process list all the time; the argv that the flow wrote is the flow's business."""
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        line = (entry / "cmdline").read_bytes()
                        shown = any(needle in line for needle in needles)
                        if not shown or b"AETHERFLOW_STEP_ID=" in (entry / "environ").read_bytes():
                            continue
                        # Both are empty when the process has ended between the two looks.
                        if (entry / "cmdline").read_bytes() == line:
                            seen.append(line)
                    except OSError:
                        continue

    observer_spec = threading.Thread(target=watch)
    observer_spec.start()
    try:
        yield seen
    finally:
        ended.set()
        observer_spec.join()


def hits(needles: set[bytes], texts: dict[str, bytes]) -> list[str]:
    """Return where a needle is found, with what stands around it."""
    found = []
    for name, text in texts.items():
        for needle in needles:
            place = text.find(needle)
            if place >= 0:
                found.append(f"{name}: {text[max(place - 120, 0) : place + 60]!r}")
                break
    return found


class Nest:
    """A folder with a provider of secrets, and all that may not be seen again."""

    def __init__(self, cli: CommandLine, number: int) -> None:
        chance = random.Random(number)  # noqa: S311 - repeatable; these secrets protect nothing
        values = secrets(chance)
        in_a_url = "".join(chance.choices("abcdefgh23456789", k=20))
        self.cli = cli
        self.secrets = [*values.values(), values["PLAIN_TOKEN"][::-1], in_a_url]
        found = {spelling for secret in self.secrets for spelling in spellings(secret)}
        # A spelling that holds another one is found by that.
        self.needles = {one for one in found if not any(other in one for other in found - {one})}
        sqlite3.connect(cli.folder / "data.sqlite").close()
        cli.env |= values | {
            "DATA": str(cli.folder / "data.sqlite"),
            "URL_CODED": base64.b64encode(f"nodb://me:{in_a_url}@host/x".encode()).decode(),
            "REFUSED_CODED": base64.b64encode(f"refuse{in_a_url}".encode()).decode(),
            "AETHERFLOW_SECRETS_PATH": str(cli.write("provider.py", PROVIDER)),
        }

    @contextmanager
    def log_kept(self) -> Iterator[None]:
        """Keep the write-ahead log of the database from being folded away, so that it can be looked at."""
        self.cli.write("ok.yaml", OK)
        assert self.cli.run("run", "ok.yaml").code == 0
        reader = sqlite3.connect(self.cli.state, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT count(*) FROM events").fetchone()
        try:
            yield
        finally:
            reader.close()

    def files(self) -> dict[str, bytes]:
        """Return all files but those that the steps themselves wrote."""
        folder, work = self.cli.folder, self.cli.state.parent / "work"
        files = [path for path in folder.rglob("*") if path.is_file() and not path.is_relative_to(work)]
        return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_no_canary_is_found_anywhere(
    cli: CommandLine, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    nest = Nest(cli, number)
    texts: dict[str, bytes] = {}

    with nest.log_kept(), command_lines_watched(nest.needles) as seen:
        for name, secrets_shown, options in (
            ("text", NAMES if LARGE else NAMES[:2], ("--events", "events.jsonl")),
            ("json", NAMES if LARGE else NAMES[2:], ("--log-format", "json", "--debug")),
        ):
            cli.write("flow.yaml", flow_text(secrets_shown))
            result = cli.run("run", "flow.yaml", "--run-id", name, *options)
            assert result.code == 1, result.err[-4000:]
            assert "AF000" not in result.err
            texts |= {f"{name} stdout": result.out.encode(), f"{name} stderr": result.err.encode()}
        for words in REPORTS:
            result = cli.run(*words)
            texts[" ".join(words)] = f"{result.out}{result.err}".encode()
        texts |= nest.files()

    assert len(hits(nest.needles, {secret: secret.encode() for secret in nest.secrets})) == len(nest.secrets)
    assert seen == []
    assert hits(nest.needles, texts) == [], f"seed {number}"
    for kind in ("-wal", ".logs", "events.jsonl", "stdout", "stderr"):
        assert b"***" in b"".join(text for name, text in texts.items() if kind in name), f"nothing in {kind}"
    size = sum(map(len, texts.values())) / 1e6
    record_property(
        "torture",
        f"canaries, seed {number}: {len(nest.secrets)} secrets, {len(nest.needles)} spellings, "
        f"{len(texts)} places, {size:.1f} MB, 0 hits",
    )


def test_a_canary_in_the_key_of_a_lock_is_not_stored(cli: CommandLine) -> None:
    nest = Nest(cli, seed())
    inner = {"type": "check_items", "inputs": {"items": ["x"]}}
    step = {"id": "s", "type": "with_lock", "inputs": {"lock_key": "{{env.PLAIN_TOKEN}}", "step": inner}}
    jobs = [{"id": "a", "steps": [step]}]
    cli.write("flow.yaml", json.dumps({"version": 1, "flow": {"id": "f"}, "jobs": jobs}))

    with nest.log_kept():
        cli.run("run", "flow.yaml")
        assert hits(nest.needles, nest.files()) == []
