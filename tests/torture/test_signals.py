"""Every signal that asks to stop, in every phase: exit code, no child left, hooks ran, the run resumes."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from aetherflow.stop_signals import STOP_SIGNALS, name_of
from tests import warm_start
from tests.polling import wait_until
from tests.sizes import LARGE
from tests.torture.processes import UNIQUE, marked, query, seed
from tests.warm_start import COMMAND, Popen

pytestmark = pytest.mark.torture

WAITING = (sys.executable, "-m", "tests.torture.waiting_command")
ROOT = Path(__file__).parents[2]

AT_ONCE = ("arguments", "load", "claim", "claimed")
"""Nothing of the run is stored yet."""
CANCELLED = ("start", "program", "step")
ENDED = ("hooks", "end", "report")
"""The jobs have ended: a signal changes nothing any more."""
PHASES = (*AT_ONCE, *CANCELLED, *ENDED)

SERVER_PHASES = ("schedules", "idle", "program")
COMMANDS = (
    ("loop", "runs", "list", "--state", "../state.sqlite"),
    ("loop", "scheduler", "status", "--state", "../state.sqlite"),
    ("arguments", "bundle", "sync", "manifest.yaml"),
    ("arguments", "validate", "flow.yaml", "--connect"),
    ("arguments", "doctor", "--connect"),
    ("arguments", "logs", "some_run"),
)

FLOW = """version: 1
flow:
  id: signals
  state: {{path: {folder}/state.sqlite}}
  workspace: {{root: {folder}/work}}
  on_exit:
  - {{id: bye, type: external.process, inputs: {{command: [sh, -c, {hook}]}}}}
  - {{id: last, type: external.process, inputs: {{command: [sh, -c, 'echo last >> $OUT']}}}}
jobs:
- id: a
  steps:
  - {{id: one, type: external.process, inputs: {{command: [sh, -c, 'echo one >> $OUT']}}}}
  - {{id: two, type: external.process, inputs: {{command: [sh, -c, {program}]}}}}
  - {{id: three, type: waits}}
"""
WAIT = """if [ "$PHASE" = {phase} ]; then
  touch $UP; sleep 1000 >/dev/null 2>&1 &
  while [ ! -e $GO ]; do sleep 0.02; done
fi
"""
PLUGIN = """
import os, pathlib
import anyio
from aetherflow import step

@step("waits")
async def waits(context, inputs):
    '''Wait in the phase «step», then write a line.'''
    if os.environ["PHASE"] == "step":
        pathlib.Path(os.environ["UP"]).touch()
        await anyio.sleep_forever()
    with open(os.environ["OUT"], "a") as out:
        out.write("three\\n")
    return {}
"""


class Place(msgspec.Struct, frozen=True):
    """The folder of one case, and the id of its run."""

    folder: Path
    run_id: str

    def prepare(self) -> None:
        """Write the files."""
        (self.folder / "plugins").mkdir(parents=True)
        (self.folder / "plugins" / "waits.py").write_text(PLUGIN)
        program, hook = (
            WAIT.format(phase=phase) + f"echo {word} >> $OUT"
            for phase, word in (("program", "two"), ("hooks", "bye"))
        )
        self.flow.write_text(
            FLOW.format(folder=self.folder, program=json.dumps(program), hook=json.dumps(hook))
        )

    @property
    def flow(self) -> Path:
        """The flow file."""
        return self.folder / "flow.yaml"

    @property
    def up(self) -> Path:
        """The file that says that the phase is reached."""
        return self.folder / "up"

    def start(self, phase: str, *arguments: str) -> subprocess.Popen[str]:
        """Start a command that waits in a phase, and return when it does."""
        process = Popen(
            [*WAITING, phase, *arguments],
            cwd=self.folder,
            env=self.env(phase),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        wait_until(lambda: self.up.exists() or process.poll() is not None)
        assert process.poll() is None, process.communicate()
        return process

    def env(self, phase: str) -> dict[str, str]:
        """Return the environment of a command."""
        files = {name.upper(): str(self.folder / name) for name in ("up", "go", "out")}
        more = {
            "PHASE": phase,
            "AETHERFLOW_PLUGIN_PATHS": str(self.folder / "plugins"),
            "PYTHONPATH": str(ROOT),
        }
        state = {"AETHERFLOW_STATE_ROOT": str(self.folder / "state")}
        return {**os.environ, **files, **more, **state}

    def let_go(self) -> None:
        """Let what waits continue."""
        (self.folder / "go").touch()

    def lines(self) -> list[str]:
        """Return what the steps and hooks have written."""
        out = self.folder / "out"
        return out.read_text().split() if out.exists() else []

    def stored(self, sql: str) -> list[tuple[object, ...]]:
        """Ask the state database of the run."""
        return query(self.folder / "state.sqlite", sql)


def signals(chance: random.Random) -> list[int]:
    """Return the signals of a phase: in the large run all but most real-time ones, else one, often SIGHUP."""
    if LARGE:
        real_time = {number for number in STOP_SIGNALS if number >= signal.SIGRTMIN}
        return [*sorted(STOP_SIGNALS - real_time), *chance.sample(sorted(real_time), 3)]
    return [chance.choice([signal.SIGHUP, chance.choice(sorted(STOP_SIGNALS))])]


def in_parallel(cases: Iterable[Callable[[], None]]) -> int:
    """Do the cases, two at a time; return how many they were."""
    with ThreadPoolExecutor(2) as pool:
        return len(list(pool.map(lambda case: case(), cases)))


def run_case(place: Place, phase: str, number: int) -> None:
    """Send a signal to a run in a phase, look at what is left, then resume the run."""
    place.prepare()
    run = place.start(phase, "run", str(place.flow), "--run-id", place.run_id)
    run.send_signal(number)
    if phase in ("start", "hooks", "end"):
        place.let_go()
    out, err = run.communicate(timeout=60)

    what = f"{name_of(number)} in {phase}: {run.returncode} {place.lines()} {out}{err}"
    assert run.returncode == (0 if phase in ENDED else 128 + number), what
    assert "Traceback" not in err, what
    assert marked(place.run_id) == [], what
    runs = place.stored("SELECT status, reason FROM runs")
    if phase in AT_ONCE:
        assert (runs, place.lines()) == ([], []), what
    elif phase in CANCELLED:
        assert runs == [("CANCELLED", name_of(number))], what
        assert place.lines()[-2:] == ["bye", "last"], what
    else:
        assert [status for status, _ in runs] == ["SUCCESS"], what
        assert place.lines() == ["one", "two", "three", "bye", "last"], what
    resume(place, what)


def resume(place: Place, what: str) -> None:
    """Resume the run under its id: nothing that was done is repeated, the hooks run once for each ending."""
    command = [str(COMMAND), "run", str(place.flow), "--run-id", place.run_id]
    place.let_go()
    done = warm_start.run(
        command, cwd=place.folder, env=place.env(""), capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, (what, done.stderr)
    assert place.stored("SELECT status FROM runs") == [("SUCCESS",)], what
    lines = place.lines()
    endings = len(place.stored("SELECT 1 FROM events WHERE event = 'hooks_started'"))
    assert [lines.count(word) for word in ("one", "two", "three")] == [1, 1, 1], (what, lines)
    assert [lines.count(word) for word in ("bye", "last")] == [endings, endings], (what, lines)


def test_every_signal_in_every_phase_of_a_run(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(f"{number} run")  # noqa: S311 - repeatable, keeps no secret
    count = itertools.count()

    def case(phase: str, which: int) -> Callable[[], None]:
        name = f"{phase}-{which}"
        place = Place(tmp_path / name, f"signals-{UNIQUE}-{next(count)}")
        return lambda: run_case(place, phase, which)

    done = in_parallel([case(phase, which) for phase in PHASES for which in signals(chance)])
    record_property(
        "torture",
        f"signals to a run, seed {number}: {done} signals in {len(PHASES)} phases, 0 wrong exit codes, "
        "0 children left, 0 hooks missing, 0 steps repeated",
    )


def server_case(place: Place, phase: str, number: int) -> None:
    """Send a signal to a server in a phase; SIGHUP does not end it."""
    place.prepare()
    when = "interval_seconds: 1" if phase == "program" else "at: '2099-01-01T00:00'"
    (place.folder / "scheduler.yaml").write_text(
        "version: 1\nid: night\nshutdown_grace_seconds: 0\nitems:\n"
        f"- {{id: a, {when}, flow_yaml: flow.yaml}}\n"
    )
    state = str(place.folder / "state.sqlite")
    arguments = ("serve", "scheduler.yaml", "--state", state, "--events", str(place.folder / "events"))
    if phase == "idle":
        place.up.touch()
    server = place.start(phase, *arguments)
    if phase == "idle":  # it says when it serves
        assert server.stderr is not None
        while "serving" not in server.stderr.readline():
            assert server.poll() is None
    server.send_signal(number)
    ends_with = number
    if number == signal.SIGHUP:
        if phase == "schedules":
            place.let_go()
        wait_until(lambda: (place.folder / "events").read_text().count('"schedule_loaded"') == 2)
        server.send_signal(signal.SIGTERM)
        ends_with = signal.SIGTERM
    out, err = server.communicate(timeout=60)

    what = f"{name_of(number)} in {phase}: {server.returncode} {place.lines()} {out}{err}"
    assert server.returncode == 128 + ends_with, what
    assert "Traceback" not in err, what
    for (run_id,) in place.stored("SELECT run_id FROM runs"):
        assert marked(str(run_id)) == [], what
    ended = place.stored("SELECT status FROM runs")
    if phase == "program":
        assert set(ended) == {("CANCELLED",)}, what
        assert place.lines().count("last") == place.lines().count("one") == len(ended), what
    else:
        assert ended == [], what


def test_every_signal_in_every_phase_of_a_server(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(f"{number} server")  # noqa: S311 - repeatable, keeps no secret

    def case(phase: str, which: int) -> Callable[[], None]:
        return lambda: server_case(Place(tmp_path / f"{phase}-{which}", ""), phase, which)

    done = in_parallel([case(phase, which) for phase in SERVER_PHASES for which in signals(chance)])
    record_property(
        "torture",
        f"signals to a server, seed {number}: {done} signals in {len(SERVER_PHASES)} phases, "
        "0 wrong exit codes, 0 children left, 0 hooks missing",
    )


def test_every_signal_to_every_other_command(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(f"{number} commands")  # noqa: S311 - repeatable, keeps no secret

    def case(command: tuple[str, ...], which: int) -> Callable[[], None]:
        def do() -> None:
            point, *arguments = command
            place = Place(tmp_path / f"{arguments[0]}-{which}", "")
            place.prepare()
            running = place.start(point, *arguments)
            running.send_signal(which)
            out, err = running.communicate(timeout=60)
            assert (running.returncode, out, err) == (128 + which, "", ""), (command, name_of(which))

        return do

    database = sqlite3.connect(tmp_path / "state.sqlite")
    database.close()
    done = in_parallel([case(command, which) for command in COMMANDS for which in signals(chance)])
    record_property(
        "torture",
        f"signals to {len(COMMANDS)} other commands, seed {number}: {done} signals, 0 wrong exit codes",
    )
