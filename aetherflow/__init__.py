"""AetherFlow: data workflows for operations, written in YAML.

The names below are the public API for plugins. Each is imported at its first use, so that the command line
starts fast.
"""

from __future__ import annotations

import os

from aetherflow._version import __version__

if os.path.exists(f"{__path__[0]}/core/runner.py"):  # noqa: PTH110 - a module of 0.0; pathlib is slow to import
    from pathlib import Path

    from aetherflow.shared_environment import report_old_files

    report_old_files(Path(__path__[0]))

TYPE_CHECKING = False  # as type checkers take it; `--version` does not need the typing module
if TYPE_CHECKING:
    from typing import Any

    from aetherflow import data_files
    from aetherflow.bundle.source import BundleFile, BundleSource, SourceChanged, SourceRequest
    from aetherflow.errors import (
        AetherFlowError,
        AttemptLost,
        BundleError,
        ConfigError,
        ExecutorError,
        FinalError,
        LockNotAcquired,
        MissingExtra,
        StepError,
    )
    from aetherflow.events.lineage import Dataset, Statement
    from aetherflow.events.marks import Mark
    from aetherflow.process.run_program import ProgramResult, run_program
    from aetherflow.registry import connector_names, step_names
    from aetherflow.sdk import checks, file_selection, files
    from aetherflow.sdk.blocking import StopSwitch, run_blocking
    from aetherflow.sdk.checks import CheckResult
    from aetherflow.sdk.connector import Connector, Resource, connector
    from aetherflow.sdk.context import StepContext
    from aetherflow.sdk.effects import NOT_DONE, Effect
    from aetherflow.sdk.executor import (
        Executor,
        ExecutorAttempt,
        Needs,
        OpenExecutor,
        OptionPath,
        Place,
        Shipping,
        TlsFiles,
        WorkerFacts,
        WorkerRequest,
    )
    from aetherflow.sdk.input_types import Duration, PathText
    from aetherflow.sdk.observer import EventObserver, ObservedRun
    from aetherflow.sdk.outbox import Outbox
    from aetherflow.sdk.remote_files import RemoteEntry, RemoteFiles
    from aetherflow.sdk.remote_shell import RemoteProgram, RemoteShell
    from aetherflow.sdk.step import OutputNames, Skipped, StepResult, StepType
    from aetherflow.sdk.step_decorator import step
    from aetherflow.sdk.text_template import render_template
    from aetherflow.sdk.tls_check import certificate_check, peer_certificate_check
    from aetherflow.spec.size import parse_size
    from aetherflow.task_errors import one_error
    from aetherflow.transfer.local_files import LocalFiles
    from aetherflow.transfer.steps import transfer_steps
    from aetherflow.worker.attempt import AttemptOnWorker
    from aetherflow.worker.facts import worker_differences, worker_facts
    from aetherflow.worker.own_folder import worker_ends
    from aetherflow.worker.questions import answer_of_worker

__all__ = [
    "NOT_DONE",
    "AetherFlowError",
    "AttemptLost",
    "AttemptOnWorker",
    "BundleError",
    "BundleFile",
    "BundleSource",
    "CheckResult",
    "ConfigError",
    "Connector",
    "Dataset",
    "Duration",
    "Effect",
    "EventObserver",
    "Executor",
    "ExecutorAttempt",
    "ExecutorError",
    "FinalError",
    "LocalFiles",
    "LockNotAcquired",
    "Mark",
    "MissingExtra",
    "Needs",
    "ObservedRun",
    "OpenExecutor",
    "OptionPath",
    "Outbox",
    "OutputNames",
    "PathText",
    "Place",
    "ProgramResult",
    "RemoteEntry",
    "RemoteFiles",
    "RemoteProgram",
    "RemoteShell",
    "Resource",
    "Shipping",
    "Skipped",
    "SourceChanged",
    "SourceRequest",
    "Statement",
    "StepContext",
    "StepError",
    "StepResult",
    "StepType",
    "StopSwitch",
    "TlsFiles",
    "WorkerFacts",
    "WorkerRequest",
    "__version__",
    "answer_of_worker",
    "certificate_check",
    "checks",
    "connector",
    "connector_names",
    "data_files",
    "file_selection",
    "files",
    "one_error",
    "parse_size",
    "peer_certificate_check",
    "render_template",
    "run_blocking",
    "run_program",
    "step",
    "step_names",
    "transfer_steps",
    "worker_differences",
    "worker_ends",
    "worker_facts",
]

_HOMES = {
    name: home
    for home, names in {
        "bundle.source": ("BundleFile", "BundleSource", "SourceChanged", "SourceRequest"),
        "data_files": ("data_files",),
        "errors": (
            *("AetherFlowError", "AttemptLost", "BundleError", "ConfigError", "ExecutorError", "FinalError"),
            *("LockNotAcquired", "MissingExtra", "StepError"),
        ),
        "process.run_program": ("ProgramResult", "run_program"),
        "events.lineage": ("Dataset", "Statement"),
        "events.marks": ("Mark",),
        "registry": ("connector_names", "step_names"),
        "sdk.blocking": ("StopSwitch", "run_blocking"),
        "sdk.checks": ("CheckResult", "checks"),
        "sdk.connector": ("Connector", "Resource", "connector"),
        "sdk.context": ("StepContext",),
        "sdk.input_types": ("Duration", "PathText"),
        "sdk.effects": ("NOT_DONE", "Effect"),
        "sdk.executor": (
            *("Executor", "ExecutorAttempt", "Needs", "OpenExecutor", "OptionPath"),
            *("Place", "Shipping", "TlsFiles", "WorkerFacts", "WorkerRequest"),
        ),
        "sdk.file_selection": ("file_selection",),
        "sdk.files": ("files",),
        "sdk.observer": ("EventObserver", "ObservedRun"),
        "sdk.outbox": ("Outbox",),
        "sdk.remote_files": ("RemoteEntry", "RemoteFiles"),
        "sdk.remote_shell": ("RemoteProgram", "RemoteShell"),
        "sdk.step": ("OutputNames", "Skipped", "StepResult", "StepType"),
        "sdk.step_decorator": ("step",),
        "sdk.text_template": ("render_template",),
        "sdk.tls_check": ("certificate_check", "peer_certificate_check"),
        "spec.size": ("parse_size",),
        "task_errors": ("one_error",),
        "transfer.local_files": ("LocalFiles",),
        "transfer.steps": ("transfer_steps",),
        "worker.attempt": ("AttemptOnWorker",),
        "worker.facts": ("worker_differences", "worker_facts"),
        "worker.own_folder": ("worker_ends",),
        "worker.questions": ("answer_of_worker",),
    }.items()
    for name in names
}
_MODULES = ("checks", "data_files", "file_selection", "files")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - `--version` needs none

    home = import_module(f"aetherflow.{_HOMES[name]}")
    value = home if name in _MODULES else getattr(home, name)
    globals()[name] = value
    return value
