"""`aetherflow init ...`: write the first files of a project, a plugin, a server or its monitoring."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from aetherflow.admin.init_monitoring import monitoring_text, write_monitoring
from aetherflow.admin.init_plugin import write_plugin
from aetherflow.admin.init_project import write_project
from aetherflow.admin.systemd_unit import systemd_unit
from aetherflow.cli.options import Json
from aetherflow.cli.printing import print_text
from aetherflow.cli.report import print_report
from aetherflow.errors import UsageError

Force = Annotated[bool, typer.Option("--force", help="Overwrite existing files.")]


def init_project(
    folder: Annotated[Path, typer.Argument(metavar="[DIR]", help="The folder of the project.")] = Path(),
    *,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a small project that runs as it is. A flow, profiles, a README."""
    change = "" if folder == Path() else f"cd {folder} && "
    then = f"try it: {change}aetherflow run flow.yaml --run-id first_flow-1"
    _print_written("init.project", write_project(folder, force=force), then, json=json)


def init_plugin(
    name: Annotated[Path, typer.Argument(metavar="NAME", help="The name of the plugin, and its folder.")],
    *,
    force: Force = False,
    json: Json = False,
) -> None:
    """Write a plugin with a step, a connector and tests that pass."""
    then = f"try it: cd {name} && AETHERFLOW_PLUGIN_PATHS=src aetherflow run example.yaml"
    _print_written("init.plugin", write_plugin(name, force=force), then, json=json)


def init_monitoring(
    folder: Annotated[Path, typer.Argument(metavar="[FOLDER]", help="The folder to write into.")] = Path(
        "monitoring"
    ),
    *,
    part: Annotated[
        str,
        typer.Option(
            "--print",
            metavar="rules|dashboard|prometheus|readme",
            help="Print this file instead, and write none.",
        ),
    ] = "",
    force: Force = False,
    json: Json = False,
) -> None:
    """Write alerts for Prometheus and a dashboard for Grafana. A README says how to use them."""
    if part:
        if json:
            raise UsageError("--print and --json would both write to standard output")
        print_text(monitoring_text(part).rstrip("\n"))
        return
    then = f"what to do with them: {folder / 'README.md'}"
    _print_written("init.monitoring", write_monitoring(folder, force=force), then, json=json)


def init_systemd(
    files: Annotated[
        list[Path], typer.Argument(metavar="SCHEDULER.yaml...", help="The scheduler files to serve.")
    ],
) -> None:
    """Print a systemd unit for a server. It runs as you, in this folder."""
    print_text(systemd_unit(files, os.environ).rstrip("\n"))


def _print_written(report: str, files: Sequence[Path], then: str, *, json: bool) -> None:
    """Print which files were written, and for a person what to do next."""
    if json:
        print_report(report, {"files": files})
        return
    for path in files:
        print_text(str(path))
    print_text(then)
