"""The names that plugins of AetherFlow 0.0.x import."""

from __future__ import annotations

from aetherflow.compat.old_connectors import (
    ConnectorBase,
    ConnectorError,
    ConnectorInit,
    RemoteFileMeta,
    get_connector,
    list_connectors,
    register_connector,
)
from aetherflow.compat.old_steps import (
    STEP_SKIPPED,
    STEP_SUCCESS,
    Step,
    StepResult,
    get_step,
    list_steps,
    register_step,
)
from aetherflow.compat.require import require, require_attr
from aetherflow.compat.run_context import RunContext, Settings, new_run_id

__all__ = [
    "STEP_SKIPPED",
    "STEP_SUCCESS",
    "ConnectorBase",
    "ConnectorError",
    "ConnectorInit",
    "RemoteFileMeta",
    "RunContext",
    "Settings",
    "Step",
    "StepResult",
    "get_connector",
    "get_step",
    "list_connectors",
    "list_steps",
    "new_run_id",
    "register_connector",
    "register_step",
    "require",
    "require_attr",
]
