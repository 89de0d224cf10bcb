"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from aetherflow.cli import completers
from aetherflow.errors import UsageError

Flow = Annotated[Path | None, typer.Argument(metavar="FLOW", help="The flow file (YAML).")]
FlowOption = Annotated[Path | None, typer.Option("--flow-yaml", metavar="FLOW", help="The same as FLOW.")]
Events = Annotated[
    str,
    typer.Option(
        help="Append every event as a JSON line to a file, to standard output (-) or to an open descriptor.",
        metavar="FILE|-|fd:N",
    ),
]
MetricsFile = Annotated[
    str,
    typer.Option(
        "--metrics-file",
        help="Add the metrics of the run to this file, for node_exporter's textfile collector.",
        metavar="FILE",
    ),
]
LogFormat = Annotated[
    str,
    typer.Option(
        help="text; json: JSON lines on standard output; cloudevents: these and --events as CloudEvents.",
        metavar="text|json|cloudevents",
        autocompletion=completers.log_formats,
    ),
]
ExecutorName = Annotated[
    str,
    typer.Option(
        "--executor",
        help="Run steps there, unless they or their jobs say where: local, dask.",
        metavar="NAME",
        autocompletion=completers.executors,
    ),
]
Plain = Annotated[
    bool, typer.Option("--plain", help="Lines instead of the live tree, without colours, on a terminal too.")
]
PlainLines = Annotated[bool, typer.Option("--plain", help="Lines without colours, on a terminal too.")]
LineFormat = Annotated[
    str,
    typer.Option(
        "--log-format",
        help="json, or cloudevents.",
        metavar="json|cloudevents",
        autocompletion=completers.line_formats,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON on standard output.")]
NamedRun = Annotated[
    str,
    typer.Argument(
        metavar="[RUN]",
        help="The id of a run, or the beginning of it; default: the newest run.",
        autocompletion=completers.runs,
    ),
]
Params = Annotated[
    list[str] | None,
    typer.Option(
        "--param",
        help="A parameter of the flow; repeatable.",
        metavar="K=V",
        autocompletion=completers.params,
    ),
]
ParamsOfItem = Annotated[
    list[str] | None,
    typer.Option("--param", help="A parameter that wins over the item's; repeatable.", metavar="K=V"),
]
ParamsFile = Annotated[
    Path | None, typer.Option(help="Parameters from a YAML or JSON file; --param wins.", metavar="FILE")
]
BundleManifest = Annotated[
    Path | None,
    typer.Option(metavar="FILE", help="Sync this bundle, and take FLOW, or else its entry flow, from it."),
]
AllowStale = Annotated[
    bool, typer.Option("--allow-stale-bundle", help="Use the last snapshot if the bundle cannot be synced.")
]
Debug = Annotated[bool, typer.Option("--debug", help="Show tracebacks of failed steps, and debug records.")]
SchedulerFile = Annotated[
    Path | None,
    typer.Option(
        "--file", metavar="SCHEDULER.yaml", help="The scheduler file; default: the files that servers serve."
    ),
]
StateOfScheduler = Annotated[
    Path | None,
    typer.Option(
        "--state",
        metavar="FILE",
        help="The scheduler's state database; default: the one that the file names, else the usual.",
    ),
]


def split_param(text: str) -> tuple[str, str]:
    """Return the name and the value of a `--param`.

    Raises:
        UsageError: it is not `NAME=VALUE`.
    """
    name, separator, value = text.partition("=")
    if not separator or not name:
        raise UsageError(f"--param {text}: write it as NAME=VALUE")
    return name, value
