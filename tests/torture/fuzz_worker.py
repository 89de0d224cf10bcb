"""Runs `validate` on spoiled files, many in one process, and prints one JSON line for what is wrong.

Each case may take a time and a memory; a case that takes far too long ends the process, and is named.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import json
import os
import random
import re
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from aetherflow.cli.flow_source import FlowSource
from aetherflow.cli.printing import print_error
from aetherflow.cli.validate import print_verdict
from aetherflow.errors import AetherFlowError
from aetherflow.spec.load_manifest import load_manifest
from tests.torture.fuzz_seeds import KINDS, SPOILED
from tests.torture.mutations import spoiled

MOST_SECONDS = 2.0
MOST_MEMORY = 200 * 1024 * 1024
HANGS_SECONDS = 60
_CODE = re.compile(r"(?:error|warning)\[(AF[0-9]{3})\]")
_PLACE = re.compile(r"^(\S[^\n]*?):(\d+):(\d+): error\[AF[0-9]{3}\]: \S", re.MULTILINE)


def _read(kind: str) -> int:
    """Read a spoiled file; of a manifest no more than that: it must not sync folders of this machine."""
    path = Path(KINDS[kind].read)
    if kind == "manifest":
        load_manifest(path)
        return 0
    return print_verdict(FlowSource(path), as_json=False)


def main(seed: str, first: int, last: int) -> None:
    """Run the cases from the first up to the last."""
    resource.setrlimit(resource.RLIMIT_AS, (2 * 1024**3, 2 * 1024**3))
    codes: Counter[str] = Counter()
    worst = {"seconds": 0.0, "memory": 0}
    _run("flow", KINDS["flow"].seeds[0].encode())  # what is imported once is not counted
    for number in range(first, last):
        chance = random.Random(f"{seed} {number}")  # noqa: S311 - for tests
        kind = chance.choice(("flow", *KINDS))  # flows have the most to get wrong
        data = spoiled(chance, chance.choice(KINDS[kind].seeds))
        problem, output, seconds, memory = _measured(kind, data)
        worst = {"seconds": max(worst["seconds"], seconds), "memory": max(worst["memory"], memory)}
        codes.update(set(_CODE.findall(output)) or {"none"})
        if problem:
            _tell({"case": number, "kind": kind, "problem": problem, "data": data.decode("latin-1")[:2000]})
    _tell({"cases": last - first, "codes": codes, **worst})


def _measured(kind: str, data: bytes) -> tuple[str, str, float, int]:
    """Run a case; return what is wrong, what was printed, the seconds and the bytes it took."""
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    before = _peak()
    faulthandler.dump_traceback_later(HANGS_SECONDS, exit=True)
    began = time.process_time()
    code, output = _run(kind, data)
    seconds = time.process_time() - began
    faulthandler.cancel_dump_traceback_later()
    memory = _peak() - before
    return _problem(code, output, data, seconds, memory), output, seconds, memory


def _run(kind: str, data: bytes) -> tuple[int, str]:
    Path(SPOILED).write_bytes(data)
    printed = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="surrogateescape")
    with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(printed):
        os.environ.update(KINDS[kind].env)
        try:
            code = _read(kind)
        except AetherFlowError as error:
            print_error(error)
            code = error.exit_code
        except BaseException as error:  # noqa: BLE001 - whatever it is, it is the finding
            code = -1
            printed.write(f"Traceback {type(error).__name__}: {error}")
        for name in KINDS[kind].env:
            del os.environ[name]
    printed.flush()
    raw = printed.detach()
    assert isinstance(raw, io.BytesIO)
    return code, raw.getvalue().decode("utf-8", "replace")


def _problem(code: int, output: str, data: bytes, seconds: float, memory: int) -> str:
    """Return what is wrong with an answer, or an empty text."""
    if "Traceback" in output or "AF000" in output:
        return f"a bug: {output[-600:]}"
    if code not in (0, 2):
        return f"exit code {code}: {output[-300:]}"
    places = [(file, int(line), int(column)) for file, line, column in _PLACE.findall(output)]
    if code == 2 and not places:
        return f"refused without a place: {output[-300:]}"
    lines = len(re.split(rb"\r\n|[\r\n]|\xc2\x85|\xe2\x80[\xa8\xa9]", data)) + 1
    if any(column < 1 or (line > lines and file == SPOILED) for file, line, column in places):
        return f"a place beyond the {lines} lines of the file: {places}"
    if seconds > MOST_SECONDS:
        return f"it took {seconds:.1f} s"
    return f"it took {memory // 2**20} MiB" if memory > MOST_MEMORY else ""


def _peak() -> int:
    status = Path("/proc/self/status").read_text()
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


def _tell(line: dict[str, Any]) -> None:
    sys.__stdout__.write(json.dumps(line) + "\n")  # type: ignore[union-attr]  # it is open
    sys.__stdout__.flush()  # type: ignore[union-attr]  # as above


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
