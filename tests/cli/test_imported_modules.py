"""What commands import: modules of AetherFlow and packages of others. Most of a start is that.

`imported_modules.txt` has a line for each, with the commands that import it. AETHERFLOW_SNAPSHOTS=write
rewrites it; look at the difference before it is committed. Modules of the standard library differ from one
Python to the next: only a few that are heavy are forbidden.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from tests.cli.command_line import LIST_MODULES, OK, CommandLine, Running, flow, imported_modules

LIST = Path(__file__).with_suffix("").with_name("imported_modules.txt")
HEAD = """\
# The modules and the packages of others that commands import; see test_imported_modules.py.
# group: runs --help; run: a flow with one step check_items; process: a flow with one step external.process;
# serve: a server that fires once and is stopped.
"""
PROCESS = flow("- {id: s, type: external.process, inputs: {command: ['true']}}")
ONCE = """
version: 1
id: night
items:
- {id: a, at: '2020-01-01T00:00', catch_up: latest, flow_yaml: flow.yaml}
"""

MAY_DIFFER = {"aetherflow.redaction.forms_in_part", "aetherflow.redaction.pairs", "typing_extensions"}
"""Needed if a variable of the environment looks as if it had a secret; by some versions of Python."""
HEAVY = {
    "ctypes",
    "email",
    "http",
    "importlib.metadata",
    "multiprocessing",
    "unittest",
    "urllib.request",
    "xml",
}
"""Of the standard library: what no command below may import."""

ADVICE = """
Each module makes each start slower. Import one where it is used if most flows do not use it, with
`# noqa: PLC0415 - why`. If most do, or one is gone: AETHERFLOW_SNAPSHOTS=write rewrites the list.
"""


def of_serve(cli: CommandLine) -> set[str]:
    """Return the modules that a server has imported which has fired once and was stopped."""
    cli.write("scheduler.yaml", ONCE)
    words = ["serve", "scheduler.yaml", "--log-format", "json"]
    process = subprocess.Popen(
        [sys.executable, "-c", LIST_MODULES, *words],
        cwd=cli.folder,
        env=cli.env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with Running(process) as server:
        server.event("firing_finished")
        server.send(signal.SIGTERM)
        server.end()
    return set((cli.folder / "modules.txt").read_text(encoding="utf-8").split())


COMMANDS: dict[str, Callable[[CommandLine], set[str]]] = {
    "--version": lambda cli: imported_modules(cli, "--version"),
    "--help": lambda cli: imported_modules(cli, "--help"),
    "group": lambda cli: imported_modules(cli, "runs", "--help"),
    "validate": lambda cli: imported_modules(cli, "validate", "flow.yaml"),
    "run": lambda cli: imported_modules(cli, "run", "flow.yaml"),
    "process": lambda cli: imported_modules(cli, "run", "process.yaml"),
    "serve": of_serve,
}


def counted(modules: set[str]) -> set[str]:
    """Return the modules of AetherFlow, and the packages that neither it nor Python brings."""
    own = {name for name in modules if name.partition(".")[0] == "aetherflow"}
    packages = {name.partition(".")[0] for name in modules - own}
    others = {name for name in packages - sys.stdlib_module_names if not name.startswith(("_", "cython"))}
    return (own | others) - MAY_DIFFER


def test_commands_import_exactly_these_modules(cli: CommandLine) -> None:
    cli.write("flow.yaml", OK)
    cli.write("process.yaml", PROCESS)

    imported = {name: imports(cli) for name, imports in COMMANDS.items()}

    found = {name: counted(modules) for name, modules in imported.items()}
    lines = {
        module: " ".join(name for name, modules in found.items() if module in modules)
        for module in sorted(set().union(*found.values()))
    }
    if os.environ.get("AETHERFLOW_SNAPSHOTS") == "write":
        LIST.write_text(HEAD + "".join(f"{module}: {names}\n" for module, names in lines.items()))
    stored = dict(
        line.split(": ") for line in LIST.read_text(encoding="utf-8").splitlines() if not line.startswith("#")
    )
    different = [
        f"{module}: is imported by [{lines.get(module, '')}], {LIST.name} says [{stored.get(module, '')}]"
        for module in sorted(stored.keys() | lines.keys())
        if stored.get(module) != lines.get(module)
    ]
    assert not different, "\n".join([*different, ADVICE])
    assert {name: modules & HEAVY for name, modules in imported.items() if modules & HEAVY} == {}
