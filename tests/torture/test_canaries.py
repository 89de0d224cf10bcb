"""Secrets through every built-in step and its failures: not one is found where AetherFlow writes or shows."""

from __future__ import annotations

import base64
import json
import os
import random
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest

from tests.cli.command_line import OK, CommandLine
from tests.torture.processes import seed

pytestmark = pytest.mark.torture

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
for name in ("PLAIN_TOKEN", "LINES_SECRET", "ODD_PASSWORD", "EXPANDED_TOKEN"):
    value = os.environ[name]
    coded = base64.b64encode(value.encode()).decode()
    inside = base64.b64encode(b"user:" + value.encode() + b"!").decode()
    spellings = [value, coded, inside, urllib.parse.quote(value), urllib.parse.quote(value, safe=""),
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
        for before in (4090, 8185, 65530, 131066):
            stream.write("x" * before + value.replace("\\n", " ") + "\\n")
            stream.write("x" * before + value)
            stream.flush()
        stream.write("\\n")
sys.exit(int(sys.argv[1]))
"""


def secrets(chance: random.Random) -> dict[str, str]:
    """Return the canaries by the variable that holds them."""

    def word() -> str:
        return "".join(chance.choices("abcdefghijkmnpqrstuvwxyz23456789", k=16))

    return {
        "PLAIN_TOKEN": word(),
        "LINES_SECRET": f"{word()}\n{word()}",
        "ODD_PASSWORD": f"q\"{word()}'/ é+%\\{word()}",
    }


def spellings(value: str) -> set[bytes]:
    """Return how a secret may look, whole or a line or half of it; each is long enough to be no accident."""
    found = set()
    for part in {value, *value.splitlines()}:
        raw = part.encode()
        found |= {part, quote(part), quote(part, safe=""), quote_plus(part), json.dumps(part)[1:-1]}
        found |= {json.dumps(part, ensure_ascii=False)[1:-1], repr(part)[1:-1]}
        found |= {base64.b64encode(raw).decode().rstrip("="), base64.urlsafe_b64encode(raw).decode().rstrip("=")}
    return {text.encode() for text in found} | {text.encode() for text in _cores(value)}


def _cores(value: str) -> Iterator[str]:
    """Yield the random words in a secret: no spelling of it in clear is without them."""
    word = ""
    for letter in f"{value} ":
        if letter.isascii() and letter.isalnum():
            word += letter
        else:
            if len(word) >= 16:
                yield word[-16:]
            word = ""


def flow_text() -> str:
    """Return a flow (JSON is YAML) with a job for each way in which a secret might get out."""
    python = [sys.executable, "-I", "-S", "-c"]
    tokens = ["{{env.PLAIN_TOKEN}}", "{{env.LINES_SECRET}}", "{{env.ODD_PASSWORD}}", "{{env.EXPANDED_TOKEN}}"]
    jobs: dict[str, dict[str, Any]] = {}

    def process(name: str, **inputs: Any) -> None:
        jobs[name] = {"type": "external.process", "inputs": inputs}

    for code in (0, 3):
        for mode in ("inherit", "capture"):
            log = {"stdout": mode, "stderr": mode}
            process(f"speak_{mode}_{code}", command=[*python, SPEAK, str(code)], log=log)
            jobs[f"speak_{mode}_{code}"]["outputs"] = {"out": "{{result.stdout}}", "err": "{{result.stderr}}"}
    del jobs["speak_inherit_0"]["outputs"], jobs["speak_inherit_3"]["outputs"]
    process("late", command=[*python, f"import time\n{SPEAK.replace('sys.exit', 'time.sleep')}", "30"], timeout_seconds=2)
    for number, token in enumerate(tokens):
        process(f"program_{number}", command=[token])
        process(f"argument_{number}", command=["false", token])
        process(f"folder_{number}", command=["true"], cwd=token)
        process(f"shell_{number}", command=f"exit 3 # {number}", shell=True, env={"HARMLESS": token})
        process(f"files_{number}", command=["true"], success={"require_files": [token]})
        process(f"wrong_{number}", command=["true"], timeout_seconds=token)
        process(f"code_{number}", command=["true"], success={"exit_codes": [token]})
        process(f"key_{number}", command=["true"], **{"log": {"stdout": token}})
        jobs[f"items_{number}"] = {"type": "check_items", "inputs": {"items": [token]}, "outputs": {"seen": token, "count": "{{result.count}}"}}
        jobs[f"few_{number}"] = {"type": "check_items", "inputs": {"items": token, "min_count": 99}}
        jobs[f"count_{number}"] = {"type": "check_items", "inputs": {"items": [], "min_count": token}}
        jobs[f"path_{number}"] = {"type": "check_items", "inputs": {"items": ["x"]}, "outputs": {"bad": f"{token}{{{{result.none}}}}"}}
        inner = {"type": "external.process", "inputs": {"command": ["false", token]}}
        jobs[f"lock_{number}"] = {"type": "with_lock", "inputs": {"lock_key": token, "step": inner}}
        again = {"type": "with_lock", "inputs": {"lock_key": token, "step": {"type": "check_items", "inputs": {"items": token}}}}
        jobs[f"relock_{number}"] = {"type": "with_lock", "inputs": {"lock_key": token, "step": again["inputs"]["step"] | {"type": "with_lock", "inputs": again["inputs"]}}}
        jobs[f"inner_{number}"] = {"type": "with_lock", "inputs": {"lock_key": "k", "step": {"type": token}}}
        for resource in ("lite", "nowhere", "driver", "decoded", "refused", "options"):
            query = {"resource": resource, "sql": f"SELECT '{token}' FROM missing", "output": "rows.csv", "format": "jsonl"}
            jobs[f"sql_{resource}_{number}"] = {"type": "db_extract", "inputs": query}
        jobs[f"rows_{number}"] = {"type": "db_extract", "inputs": {"resource": "lite", "sql": "SELECT 1", "output": f"{token}/rows.csv", "format": token}}
    resources = {
        "lite": {"kind": "db", "driver": "sqlite3", "config": {"path": "{{env.DATA}}"}},
        "nowhere": {"kind": "db", "driver": "sqlite3", "config": {"path": "/nowhere/{{env.PLAIN_TOKEN}}/x.db"}},
        "driver": {"kind": "db", "driver": "sqlalchemy", "config": {"url": "nodb://me:{{env.PLAIN_TOKEN}}@host/x"}},
        "decoded": {"kind": "db", "driver": "sqlalchemy", "config": {"url": "{{env.URL_CODED}}"}, "decode": {"config": {"url": True}}},
        "refused": {"kind": "db", "driver": "sqlalchemy", "config": {"url": "{{env.REFUSED_CODED}}"}, "decode": {"config": {"url": True}}},
        "options": {"kind": "db", "driver": "sqlalchemy", "config": {"url": "sqlite://"}, "options": {"pool_size": "{{env.PLAIN_TOKEN}}"}},
    }
    return json.dumps(
        {
            "version": 1,
            "flow": {"id": "canaries", "max_parallel_jobs": 4},
            "resources": resources,
            "jobs": [{"id": name, "steps": [{"id": "s", **step}]} for name, step in jobs.items()],
        }
    )


@contextmanager
def command_lines_watched(needles: set[bytes]) -> Iterator[list[bytes]]:
    """Look at the process list all the time; the argv of a child that the flow wrote is the flow's business."""
    seen: list[bytes] = []
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(0.02):
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    try:
                        line = (entry / "cmdline").read_bytes()
                        if any(n in line for n in needles):
                            if b"AETHERFLOW_STEP_ID=" not in (entry / "environ").read_bytes():
                                seen.append(line)
                    except OSError:
                        continue

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield seen
    finally:
        ended.set()
        watcher.join()


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


def test_no_canary_is_found_anywhere(
    cli: CommandLine, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    values = secrets(random.Random(number))  # noqa: S311 - repeatable; these secrets protect nothing
    in_a_url = "".join(random.Random(number + 1).choices("abcdefgh23456789", k=20))  # noqa: S311 - the same
    refused = "refuse" + in_a_url[::-1]
    coded = {
        "URL_CODED": base64.b64encode(f"nodb://me:{in_a_url}@host/x".encode()).decode(),
        "REFUSED_CODED": base64.b64encode(refused.encode()).decode(),
    }
    everything = [*values.values(), values["PLAIN_TOKEN"][::-1], in_a_url]
    needles = set().union(*map(spellings, everything))
    sqlite3.connect(cli.folder / "data.sqlite").close()
    cli.write("ok.yaml", OK)
    cli.write("flow.yaml", flow_text())
    cli.env |= values | coded | {"DATA": str(cli.folder / "data.sqlite")}
    cli.env["AETHERFLOW_SECRETS_PATH"] = str(cli.write("provider.py", PROVIDER))
    assert cli.run("run", "ok.yaml").code == 0
    reader = sqlite3.connect(cli.state, isolation_level=None)
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM events").fetchone()  # holds the log back, so that it can be looked at

    texts: dict[str, bytes] = {}
    with command_lines_watched(needles) as seen:
        for name, options in {
            "text": ("--events", "events.jsonl"),
            "json": ("--log-format", "json"),
            "debug": ("--debug", "--events", "-"),
        }.items():
            result = cli.run("run", "flow.yaml", "--run-id", name, *options)
            assert result.code == 1, result.err[-4000:]
            assert "AF000" not in result.err
            texts |= {f"{name} stdout": result.out.encode(), f"{name} stderr": result.err.encode()}
        for words in (("runs", "show", "text"), ("runs", "show", "text", "--json"), ("logs", "text"), ("explain", "flow.yaml"), ("explain", "flow.yaml", "--json"), ("doctor", "flow.yaml"), ("locks", "list"), ("runs", "list")):
            result = cli.run(*words)
            texts[" ".join(words)] = f"{result.out}{result.err}".encode()
    files = [p for p in cli.folder.rglob("*") if p.is_file() and not p.is_relative_to(cli.state.parent / "work")]
    texts |= {str(p.relative_to(cli.folder)): p.read_bytes() for p in files}
    reader.close()

    assert seen == []
    assert hits(needles, texts) == [], f"seed {number}"
    wal = next(text for name, text in texts.items() if name.endswith("-wal"))
    assert b"***" in wal
    logs = [name for name in texts if ".logs" in name]
    assert b"***" in b"".join(texts[name] for name in logs)
    size = sum(map(len, texts.values()))
    record_property(
        "torture",
        f"canaries, seed {number}: {len(everything)} secrets, {len(needles)} spellings, {len(texts)} places, "
        f"{size / 1e6:.1f} MB, 0 hits",
    )
