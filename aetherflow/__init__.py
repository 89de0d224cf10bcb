"""AetherFlow: data workflows for operations, written in YAML.

The names below are the public API for plugins. Each is imported at its first use, so that the command line
starts fast.
"""

from __future__ import annotations

from aetherflow._version import __version__

TYPE_CHECKING = False  # as type checkers take it; `--version` does not need the typing module
if TYPE_CHECKING:
    from typing import Any

    from aetherflow.bundle.source import BundleFile, BundleSource, SourceChanged, SourceRequest
    from aetherflow.errors import (
        AetherFlowError,
        BundleError,
        ConfigError,
        LockNotAcquired,
        MissingExtra,
        StepError,
    )
    from aetherflow.registry import connector_names, step_names
    from aetherflow.sdk import checks, files
    from aetherflow.sdk.blocking import StopSwitch, run_blocking
    from aetherflow.sdk.checks import CheckResult
    from aetherflow.sdk.connector import Connector, Resource, connector
    from aetherflow.sdk.context import StepContext
    from aetherflow.sdk.effects import Effect
    from aetherflow.sdk.step import Skipped, StepResult, StepType
    from aetherflow.sdk.step_decorator import step
    from aetherflow.sdk.tls_check import certificate_check, peer_certificate_check
    from aetherflow.task_errors import one_error

__all__ = [
    "AetherFlowError",
    "BundleError",
    "BundleFile",
    "BundleSource",
    "CheckResult",
    "ConfigError",
    "Connector",
    "Effect",
    "LockNotAcquired",
    "MissingExtra",
    "Resource",
    "Skipped",
    "SourceChanged",
    "SourceRequest",
    "StepContext",
    "StepError",
    "StepResult",
    "StepType",
    "StopSwitch",
    "__version__",
    "certificate_check",
    "checks",
    "connector",
    "connector_names",
    "files",
    "one_error",
    "peer_certificate_check",
    "run_blocking",
    "step",
    "step_names",
]

_HOMES = {
    "AetherFlowError": "errors",
    "BundleError": "errors",
    "BundleFile": "bundle.source",
    "BundleSource": "bundle.source",
    "SourceChanged": "bundle.source",
    "SourceRequest": "bundle.source",
    "ConfigError": "errors",
    "LockNotAcquired": "errors",
    "MissingExtra": "errors",
    "StepError": "errors",
    "CheckResult": "sdk.checks",
    "certificate_check": "sdk.tls_check",
    "peer_certificate_check": "sdk.tls_check",
    "Connector": "sdk.connector",
    "Resource": "sdk.connector",
    "connector": "sdk.connector",
    "StepContext": "sdk.context",
    "Effect": "sdk.effects",
    "StopSwitch": "sdk.blocking",
    "run_blocking": "sdk.blocking",
    "checks": "sdk.checks",
    "files": "sdk.files",
    "Skipped": "sdk.step",
    "StepResult": "sdk.step",
    "StepType": "sdk.step",
    "step": "sdk.step_decorator",
    "one_error": "task_errors",
    "connector_names": "registry",
    "step_names": "registry",
}


_MODULES = ("checks", "files")


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 - `--version` needs none

    home = import_module(f"aetherflow.{_HOMES[name]}")
    value = home if name in _MODULES else getattr(home, name)
    globals()[name] = value
    return value
