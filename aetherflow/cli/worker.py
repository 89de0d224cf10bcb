"""`aetherflow worker`: run attempts of steps for other machines, as a worker of a cluster."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from aetherflow.cli import completers
from aetherflow.cli.environment_here import environment_here
from aetherflow.cli.options import split_param
from aetherflow.cli.printing import print_json_line, print_note
from aetherflow.errors import UsageError
from aetherflow.registry import executor_class
from aetherflow.sdk.executor import TlsFiles, WorkerRequest
from aetherflow.spec.duration import parse_duration
from aetherflow.working_directory import absolute

ADDRESS_VARIABLE = "DASK_SCHEDULER_ADDRESS"
"""Where Dask itself looks for the address, as in the containers of its operator for Kubernetes."""

Address = Annotated[
    str,
    typer.Argument(
        metavar="[ADDRESS]",
        help=f"The scheduler, as tls://host:8786; default: the variable {ADDRESS_VARIABLE}.",
    ),
]
SchedulerFile = Annotated[
    Path | None, typer.Option(metavar="FILE", help="The file that the scheduler writes its address to.")
]
Threads = Annotated[
    int | None,
    typer.Option(
        "--threads",
        "--nthreads",
        help="How many steps it runs at once; default: as many as there are processors.",
        metavar="N",
    ),
]
Name = Annotated[str, typer.Option(help="Its name, of which the cluster has one.", metavar="NAME")]
Labels = Annotated[
    list[str] | None, typer.Option("--label", help="What runs_on names; repeatable.", metavar="LABEL")
]
Resources = Annotated[
    list[str] | None,
    typer.Option("--resource", help="How much of a resource it offers; repeatable.", metavar="NAME=N"),
]
TlsCa = Annotated[
    Path | None,
    typer.Option(
        "--tls-ca", "--tls-ca-file", help="The certificate that signed all others (PEM).", metavar="FILE"
    ),
]
TlsCert = Annotated[
    Path | None, typer.Option("--tls-cert", help="The certificate of the worker.", metavar="FILE")
]
TlsKey = Annotated[Path | None, typer.Option("--tls-key", help="Its private key.", metavar="FILE")]
WorkRoot = Annotated[
    Path | None,
    typer.Option(
        "--work-root",
        "--local-directory",
        help="Where its steps have their folders; default: work_root of the settings.",
        metavar="DIR",
    ),
]
Listen = Annotated[
    str,
    typer.Option(
        "--listen", "--listen-address", help="Listen there, as tls://10.0.0.7:9000.", metavar="ADDRESS"
    ),
]
Contact = Annotated[
    str,
    typer.Option(
        "--contact", "--contact-address", help="What others call, if not --listen.", metavar="ADDRESS"
    ),
]
MemoryLimit = Annotated[
    str,
    typer.Option(
        "--memory-limit", help="Take no further steps above 80 % of it; default: none.", metavar="SIZE"
    ),
]
Project = Annotated[
    Path | None,
    typer.Option(help="Work in this folder, with its project file; default: here.", metavar="DIR"),
]
LostAfter = Annotated[
    str,
    typer.Option(
        "--lost-after", help="Stop the steps when the scheduler is silent for so long.", metavar="DURATION"
    ),
]
GiveUpAfter = Annotated[
    str,
    typer.Option(
        "--give-up-after",
        "--death-timeout",
        help="End when the scheduler cannot be reached for so long.",
        metavar="DURATION",
    ),
]
Stdin = Annotated[
    bool,
    typer.Option(
        "--stdin",
        help="Read the certificates from standard input, and end when that does; for programs that start it.",
    ),
]
ExecutorName = Annotated[str, typer.Option("--executor", help="The kind of cluster.", metavar="NAME")]
LogFormat = Annotated[
    str,
    typer.Option(
        "--log-format",
        help="text; json: JSON lines on standard output.",
        metavar="text|json",
        autocompletion=completers.line_formats,
    ),
]


def worker(
    *,
    address: Address = "",
    scheduler_file: SchedulerFile = None,
    threads: Threads = None,
    name: Name = "",
    label: Labels = None,
    resource: Resources = None,
    tls_ca: TlsCa = None,
    tls_cert: TlsCert = None,
    tls_key: TlsKey = None,
    work_root: WorkRoot = None,
    listen: Listen = "",
    contact: Contact = "",
    memory_limit: MemoryLimit = "",
    project: Project = None,
    lost_after: LostAfter = "30s",
    give_up_after: GiveUpAfter = "60s",
    stdin: Stdin = False,
    executor: ExecutorName = "dask",
    log_format: LogFormat = "text",
) -> int:
    """Run steps for other machines, as a worker of a Dask cluster. SIGTERM or Ctrl-C stops it."""
    if log_format not in ("text", "json"):
        raise UsageError(f"--log-format {log_format}: it is text or json")
    tls = _tls((tls_ca, tls_cert, tls_key))
    file = str(absolute(scheduler_file)) if scheduler_file else ""
    folder = absolute(work_root) if work_root else None
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: it must be at least 1")
    if project is not None:
        _enter(project)
    settings = environment_here().settings
    given = _tls_of_stdin() if stdin else None
    request = WorkerRequest(
        address=_address(address, file),
        scheduler_file=file,
        threads=threads or len(os.sched_getaffinity(0)),
        name=name,
        labels=tuple(dict.fromkeys(label or ())),
        resources=_amounts(resource or ()),
        tls=given or tls,
        folder=str(folder or absolute(settings.work_root)),
        listen=listen,
        contact=contact,
        memory_limit=memory_limit,
        lost_after=_seconds("--lost-after", lost_after),
        give_up_after=_seconds("--give-up-after", give_up_after),
        ends_with_stdin=stdin,
    )
    gc.enable()
    return executor_class(executor)().serve(request, _log(as_json=log_format == "json"))


def _address(address: str, scheduler_file: str) -> str:
    """Return the address of the scheduler; empty if a file names it.

    Raises:
        UsageError: there is none, there are two, or it is no address.
    """
    if address and scheduler_file:
        raise UsageError("ADDRESS and --scheduler-file both name the scheduler", hint="leave one of them out")
    if scheduler_file:
        return ""
    found = address or os.environ.get(ADDRESS_VARIABLE, "")
    if not found:
        raise UsageError(
            "name the scheduler: aetherflow worker tls://HOST:8786",
            hint="a scheduler is started by: dask scheduler; see aetherflow help executors",
        )
    protocol, separator, place = found.partition("://")
    if not separator:
        protocol, place = "tcp", found
    if protocol not in ("tcp", "tls") or not place.rpartition(":")[0]:
        raise UsageError(f"{found}: write the address of the scheduler as tcp://HOST:PORT or tls://HOST:PORT")
    return f"{protocol}://{place}"


def _tls(files: Sequence[Path | None]) -> TlsFiles | None:
    """Return the certificates that the options name; None if they name none.

    Raises:
        UsageError: some are missing, or a file is not there.
    """
    given = [absolute(file) for file in files if file is not None]
    if not given:
        return None
    if len(given) < len(files):
        raise UsageError("--tls-ca, --tls-cert and --tls-key belong together: give all three")
    for file in given:
        if not os.access(file, os.R_OK):
            raise UsageError(f"{file} cannot be read", hint="check the path, and that this user may read it")
    return TlsFiles(*map(str, given))


def _tls_of_stdin() -> TlsFiles | None:
    """Return the certificates that the first line of standard input has: JSON, or an empty line for none.

    Raises:
        UsageError: it is neither.
    """
    line = sys.stdin.readline().strip()
    if not line:
        return None
    try:
        return msgspec.json.decode(line, type=TlsFiles)
    except msgspec.DecodeError as error:
        raise UsageError(f"--stdin: the first line is no JSON with ca, cert and key: {error}") from None


def _amounts(texts: Sequence[str]) -> dict[str, float]:
    """Return the resources that options name.

    Raises:
        UsageError: one is not `NAME=N` with a number above zero.
    """
    amounts = {}
    for text in texts:
        try:
            resource, number = split_param(text)
            amounts[resource] = float(number)
        except (UsageError, ValueError):
            raise UsageError(f"--resource {text}: write it as NAME=N, such as SFTP=2") from None
        if not 0 < amounts[resource] < float("inf"):
            raise UsageError(f"--resource {text}: the number must be above zero")
    return amounts


def _seconds(option: str, text: str) -> float:
    """Return the seconds of an option.

    Raises:
        UsageError: it is no duration above zero.
    """
    try:
        seconds = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from None
    if seconds <= 0:
        raise UsageError(f"{option} {text}: it must be above zero")
    return seconds


def _enter(project: Path) -> None:
    """Make a folder the working directory.

    Raises:
        UsageError: it is no folder, or may not be entered.
    """
    try:
        os.chdir(project.parent if project.is_file() else project)
    except OSError as error:
        raise UsageError(f"--project {project}: {error.strerror or error}") from None


def _log(*, as_json: bool) -> Callable[[str, str], None]:
    """Return what shows a line of the worker: as text on standard error, or as JSON on standard output."""

    def show(level: str, text: str) -> None:
        now = datetime.now(UTC)
        if as_json:
            print_json_line(
                {"timestamp": now.isoformat(), "level": level, "event": "worker", "message": text}
            )
            return
        sign = "" if level == "info" else f"{level}: "
        print_note(f"{now.astimezone():%H:%M:%S} {sign}{text}")

    return show
