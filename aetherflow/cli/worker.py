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
from aetherflow.cli.printing import print_json_line, print_note
from aetherflow.cli.worker_options import (
    ADDRESS_VARIABLE,
    amounts,
    distinct_labels,
    memory_size,
    own_address,
    scheduler_address,
    seconds,
)
from aetherflow.config.settings import Settings
from aetherflow.errors import UsageError
from aetherflow.file_access import make_folder
from aetherflow.registry import executor_class
from aetherflow.sdk.executor import TlsFiles, WorkerRequest
from aetherflow.spec.flow import LOCAL
from aetherflow.working_directory import absolute

LEAST_LOST_AFTER = 5.0
"""As for the option `lost_after` of the executor (seconds): workers beat every two."""

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
    if executor == LOCAL:
        raise UsageError("--executor local: it has no workers", hint="aetherflow worker --executor dask ...")
    tls = _tls((tls_ca, tls_cert, tls_key))
    file = str(absolute(scheduler_file)) if scheduler_file else ""
    scheduler = scheduler_address(address, file)
    labels, resources = distinct_labels(label or ()), amounts(resource or ())
    listens = own_address("--listen", listen, scheduler)
    contacts = own_address("--contact", contact, scheduler)
    memory = memory_size(memory_limit)
    lost, give_up = (
        seconds("--lost-after", lost_after, LEAST_LOST_AFTER),
        seconds("--give-up-after", give_up_after),
    )
    folder = absolute(work_root) if work_root else None
    if threads is not None and threads < 1:
        raise UsageError(f"--threads {threads}: it must be at least 1")
    if project is not None:
        _enter(project)
    settings = environment_here().settings
    given = _tls_of_stdin() if stdin else None
    request = WorkerRequest(
        address=scheduler,
        scheduler_file=file,
        threads=threads or len(os.sched_getaffinity(0)),
        name=name,
        labels=labels,
        resources=resources,
        tls=given or tls,
        folder=_usable(folder, settings),
        listen=listens,
        contact=contacts,
        memory_limit=memory,
        lost_after=lost,
        give_up_after=give_up,
        ends_with_stdin=stdin,
    )
    gc.enable()
    return executor_class(executor)().serve(request, _log(as_json=log_format == "json"))


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


def _enter(project: Path) -> None:
    """Make a folder the working directory.

    Raises:
        UsageError: it is no folder, or may not be entered.
    """
    try:
        os.chdir(project.parent if project.is_file() else project)
    except OSError as error:
        raise UsageError(f"--project {project}: {error.strerror or error}") from None


def _usable(given: Path | None, settings: Settings) -> str:
    """Return the folder of the option, or of the settings, which is made if it is not there.

    Raises:
        UsageError: it cannot be made, or not be written.
    """
    folder, called = (given, "--work-root") if given else (absolute(settings.work_root), "work_root")
    try:
        make_folder(folder, settings.file_access)
    except OSError as error:
        raise UsageError(f"{called} {folder}: {error.strerror or error}") from None
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UsageError(f"{called} {folder}: this user may not write there")
    return str(folder)


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
