"""A tree of precious files round every operation that deletes, replaces or renames: nothing in it changes.

The real command, in success and failure, killed in the middle and resumed. What is precious lies beside the
files of AetherFlow, has the names that a step gives, is a file where a folder is expected, or is reached by a
link. Small in CI; `just torture` kills more often.
"""

from __future__ import annotations

import os
import random
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.sizes import LARGE
from tests.torture.precious import Precious
from tests.torture.processes import seed
from tests.warm_start import COMMAND, Popen

KILLS = 200 if LARGE else 2
KILLED_AFTER = (0.2, 1.2) if LARGE else (0.02, 0.3)
"""When a run is killed, in seconds after its start; one that starts warm lasts a fifth as long."""

SECONDS = 60.0
FILES = 20
PLACES = 13 if LARGE else 2

pytestmark = pytest.mark.torture


class Shell:
    """The command in a folder of its own, and the precious files in it."""

    def __init__(self, folder: Path, chance: random.Random) -> None:
        self.folder = folder
        self.folder.mkdir(parents=True)
        self.state = folder / "state"
        self.precious = Precious(folder / "outside", chance)
        self.commands = 0

    @property
    def work(self) -> Path:
        """The root of the workspace."""
        return self.state / "work"

    def start(self, *arguments: str | Path) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own; what it says goes to a file."""
        self.commands += 1
        with (self.folder / "said.log").open("ab") as log:
            return Popen(
                [COMMAND, *arguments],
                cwd=self.folder,
                env=os.environ | {"AETHERFLOW_STATE_ROOT": str(self.state), "OUT": str(self.folder)},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def run(self, *arguments: str | Path) -> int:
        """Run a command to its end; it may fail, but not with a traceback."""
        code = self.start(*arguments).wait(SECONDS)
        assert b"Traceback" not in (self.folder / "said.log").read_bytes(), self.said()
        return code

    def said(self) -> str:
        """Return the end of what the commands said."""
        return (self.folder / "said.log").read_text(errors="replace")[-3000:]

    def write(self, name: str, text: str) -> str:
        """Write a file that is not precious."""
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return name


def flow(steps: list[str], policy: str = "always", more: str = "") -> str:
    """Return a flow with one job for each step, which all run."""
    jobs = "".join(f"  - {{id: j{n}, steps: [{step}]}}\n" for n, step in enumerate(steps))
    head = f"version: 1\nflow: {{id: f, workspace: {{cleanup_policy: {policy}{more}}}}}\n"
    resource = "resources:\n  mem: {kind: db, driver: sqlite3, config: {path: ':memory:'}}\n"
    return f"{head}{resource}jobs:\n{jobs}"


def process(script: str, idempotency: str, more: str = "") -> str:
    """Return a step that runs a program."""
    return (
        f"{{id: s, type: external.process, inputs: {{command: [sh, -c, {script!r}], "
        f"idempotency: {{{idempotency}}}{more}}}}}"
    )


def atomic(temporary: str, final: str, script: str = "true", *, replace: bool = True) -> str:
    """Return a step with an output folder."""
    keys = f"strategy: atomic_dir, temp_output_dir: {temporary!r}, final_output_dir: {final!r}"
    return process(script, f"{keys}, atomic_rename: {str(replace).lower()}")


# ---- the operations: each plants precious files, remembers them, and works round them


def steps_that_name_precious_files(shell: Shell, _chance: random.Random) -> int:
    """`atomic_dir`, markers and output files, in every place that a flow can name."""
    out, job = "{{env.OUT}}", "{{env.OUT}}/state/work/f"
    steps = []
    for replace in (True, False):
        for temporary, final in (
            *((".", "o"), ("precious", "o"), ("precious/report.pdf", "o"), ("precious/link", "o")),
            *(("t", "precious/report.pdf"), ("t", "precious/link"), ("t", "precious/file link"), ("t", ".")),
            *((f"{out}/beside", "o"), ("t", f"{out}/beside"), (f"{out}/outside/file", "o"), (f"{job}", "o")),
            *(("t", f"{out}/outside/folder"), ("..", "o"), ("/", "o"), ("t", "/"), ("../../..", "o")),
        ):
            steps.append(atomic(temporary, final, replace=replace))
            steps.append(
                atomic(temporary, final, 'echo x > "$AETHERFLOW_OUTPUT_DIR/x"; false', replace=replace)
            )
    checks = ", success: {require_files: [missing]}"
    steps += [
        process("false", "strategy: marker, marker_path: precious/link/deep/file", checks),
        process("false", "strategy: marker, marker_path: precious", checks),
        process("true", f"strategy: marker, marker_path: '{out}/outside/file'"),
        *(
            f"{{id: s, type: db_extract, inputs: {{resource: mem, sql: {sql}, output: {output}}}}}"
            for sql, output in (
                *(("select 1", "precious"), ("select 1", "precious/link"), ("select 1", "precious/link/new")),
                *(("selct", "precious/report.pdf"), ("select 1", "precious/report.pdf/below")),
            )
        ),
        process("exit 3", "strategy: none", ", success: {forbid_files: [precious]}"),
    ]
    for number in range(len(steps)):
        shell.precious.tree(shell.work / f"f/j{number}/r/artifacts")
    shell.precious.tree(shell.folder / "beside")
    count = shell.precious.remember()
    shell.run("run", shell.write("flow.yaml", flow(steps)), "--run-id", "r")
    shell.run("run", "flow.yaml", "--run-id", "r")
    return count


def cleanup_of_runs(shell: Shell, _chance: random.Random) -> int:
    """The folders of jobs at the end of a run, and `runs prune`."""
    plain = "{id: s, type: external.process, inputs: {command: [sh, -c, 'ln -s $OUT/outside l; echo x > x']}}"
    for place in (".", "f", "f/j0", "f/j1/r", "f/j0/other"):
        shell.precious.tree(shell.work / place)
    shell.precious.link(shell.work / "f" / "j2", "through")
    shell.precious.file(shell.work / "f" / "j3")
    (shell.work / "f" / "j4").mkdir()
    shell.precious.file(shell.work / "f" / "j4" / "r")
    logs = shell.precious.tree(shell.folder / "state" / "aetherflow.logs")
    shell.precious.link(logs / "r", "folder")
    count = shell.precious.remember()
    text = flow([plain] * 6).replace("id: f,", "id: f, max_parallel_jobs: 2,")
    for run_id in ("r", "r2"):
        shell.run("run", shell.write("flow.yaml", text), "--run-id", run_id)
    assert shell.precious.changed() == [], shell.said()
    shell.precious.link(logs / "r2", "folder")
    count += shell.precious.remember()
    shell.run("runs", "prune", "--keep-runs", "0")
    assert not (shell.work / "f" / "j5" / "r").exists(), "what is AetherFlow's is deleted"
    return count


def syncs_of_a_bundle(shell: Shell, _chance: random.Random) -> int:
    """A bundle with precious files in all of its folders, and in the place of its files."""
    manifest = "version: 1\nbundle: {id: b, source: {type: filesystem, base_path: share}}\n"
    sync = "bundle", "sync", "--bundle-manifest", shell.write("bundle.yaml", manifest)
    shell.write("share/flow.yaml", "version: 1\n")
    root = shell.work / "bundles" / "b"
    for place in (".", "cache", "cache/objects", "snapshots"):
        shell.precious.tree(root / place)
        for name in (".env", ".gitignore", "notes", ".0123456789abcdef"):
            shell.precious.file(root / place / name)
    shell.precious.link(root / "snapshots" / ("0" * 32))
    shell.precious.file(root / "snapshots" / ("1" * 32))
    count = shell.precious.remember()
    for number in range(6):
        shell.write(f"share/new{number}", f"{number}")
        process = shell.start(*sync)
        if number % 2:
            time.sleep(0.3)
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(SECONDS)
    assert shell.run(*sync) == 0, shell.said()
    assert len([path for path in (root / "snapshots").iterdir() if path.is_dir()]) < 8, "old ones are removed"
    for name in ("lock", "active"):
        (root / name).unlink()
        shell.precious.file(root / name)
        count += shell.precious.remember()
        assert shell.run(*sync) == 1, shell.said()
        assert shell.precious.changed() == []
        shell.precious.forget(root / name)
        (root / name).symlink_to(shell.folder / "outside" / "file")
        shell.run(*sync)
        assert shell.precious.changed() == []
        (root / name).unlink()
    return count


def files_that_commands_are_given(shell: Shell, _chance: random.Random) -> int:
    """`--events`, `state.path`, `init`: a file with another content is neither replaced nor appended to."""
    shell.write("flow.yaml", flow(["{id: s, type: check_items, inputs: {items: [x]}}"]))
    text = shell.precious.file(shell.folder / "report.pdf", b"%PDF-1.7 precious")
    link = shell.precious.link(shell.folder / "linked.txt", "file")
    other = shell.folder / "other.sqlite"
    with sqlite3.connect(other) as database:
        database.execute("create table precious(x)")
    database.close()
    shell.precious.file(shell.folder / "gone.sqlite-wal")
    shell.precious.file(shell.folder / "gone2.sqlite-journal")
    new = shell.precious.tree(shell.folder / "new")
    shell.precious.file(new / "flow.yaml")
    linked = shell.folder / "linked"
    shell.precious.link(linked / "README.md", "file")
    (linked / "flow.yaml").symlink_to(shell.folder / "outside" / "not yet")
    shell.precious.file(other, other.read_bytes())
    count = shell.precious.remember()
    for events in (text, link, other, shell.folder / "outside", new):
        assert shell.run("run", "flow.yaml", "--events", events) == 2, shell.said()
    for number, state in enumerate((text, link, other, new, "gone.sqlite", "gone2.sqlite", "report.pdf/x")):
        shell.write(f"flow{number}.yaml", flow([]).replace("id: f,", f"id: f, state: {{path: {state}}},"))
        text_of = (shell.folder / "flow.yaml").read_text()
        shell.write(f"flow{number}.yaml", text_of.replace("id: f,", f"id: f, state: {{path: '{state}'}},"))
        assert shell.run("run", f"flow{number}.yaml") == 2, shell.said()
    for options in (("new",), ("linked",), ("linked", "--force")):
        assert shell.run("init", *options) == 2, shell.said()
    return count


def files_where_folders_are_expected(shell: Shell, chance: random.Random) -> int:
    """A precious file in the place of a folder, and a precious folder in the place of a file."""
    shell.write("flow.yaml", flow([process("echo hi", "strategy: none")]))
    manifest = "version: 1\nbundle: {id: b, source: {type: filesystem, base_path: share}}\n"
    shell.write("bundle.yaml", manifest)
    shell.write("share/flow.yaml", "version: 1\n")
    count = 0
    root = "work/bundles/b"
    folders: tuple[str, ...] = ("work", "work/f", "aetherflow.logs", "work/bundles", root, f"{root}/cache")
    folders += (f"{root}/snapshots", f"{root}/cache/objects")
    files: tuple[str, ...] = (
        "aetherflow.sqlite",
        f"{root}/active",
        f"{root}/lock",
        f"{root}/cache/index.json",
    )
    files += (f"{root}/last_sync.json",)
    for place in chance.sample(folders + files, PLACES):
        shell.state = shell.folder / f"state {count}"
        (shell.precious.file if place in folders else shell.precious.tree)(shell.state / place)
        count = shell.precious.remember()
        shell.run("run", "flow.yaml")
        shell.run("bundle", "sync", "--bundle-manifest", "bundle.yaml")
        assert shell.precious.changed() == [], (place, shell.said())
    return count


OPERATIONS = (
    steps_that_name_precious_files,
    cleanup_of_runs,
    syncs_of_a_bundle,
    files_that_commands_are_given,
    files_where_folders_are_expected,
)


def test_nothing_precious_round_a_destructive_operation_changes(
    tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    number = seed()
    chance = random.Random(number)  # noqa: S311 - repeatable, keeps no secret
    things = commands = 0
    for operation in OPERATIONS:
        shell = Shell(tmp_path / operation.__name__, chance)
        things += operation(shell, chance)
        commands += shell.commands
        assert shell.precious.changed() == [], shell.said()
    kills = _kill_and_resume(Shell(tmp_path / "kills", chance), chance)
    text = f"{things} precious things, {commands} commands, {kills} kills of a replacement: 0 changed"
    record_property("counts", text)
    print(f"seed {number}: {text}")  # noqa: T201 - the counts are the result


def _kill_and_resume(shell: Shell, chance: random.Random) -> int:
    """Replace a published folder, killed at random moments: it is the old one or the new one."""
    share = shell.precious.tree(shell.folder / "share")
    shell.precious.tree(shell.work / "f" / "j0")
    shell.precious.remember()
    script = f'for n in $(seq {FILES}); do echo $VERSION > "$AETHERFLOW_OUTPUT_DIR/$n"; done; sleep 0.05'
    step = atomic(f"{share}/today.tmp", f"{share}/today", script)
    step = step.replace("inputs: {", "inputs: {env: {VERSION: '{{run.id}}'}, ")
    shell.write("flow.yaml", flow([step], more=f", layout: {{share: {share}}}"))
    kills = version = 0
    shown = ""
    while kills < KILLS:
        version += 1
        for attempt in range(1, 100):
            began = time.monotonic()
            process = shell.start("run", "flow.yaml", "--run-id", f"v{version}")
            try:
                process.wait(chance.uniform(*KILLED_AFTER) if attempt < 4 else SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                kills += 1
                found = _version_of(share / "today")
                assert found in (shown, f"v{version}", ""), "half a folder"
                assert found or not shown or _version_of(share / ".today.replaced") == shown
                continue
            assert process.returncode == 0, (time.monotonic() - began, shell.said())
            break
        shown = _version_of(share / "today")
        assert shown == f"v{version}"
        assert shell.precious.changed() == []
        assert sorted(path.name for path in share.iterdir()) == ["precious", "today"]
    return kills


def _version_of(folder: Path) -> str:
    """Return the version of a published folder, whole; empty if it is not there."""
    if not folder.exists():
        return ""
    texts = [path.read_text() for path in folder.iterdir()]
    assert len(texts) == FILES, f"{folder} is not whole"
    assert len(set(texts)) == 1, f"{folder} is of two versions"
    return texts[0].strip()
