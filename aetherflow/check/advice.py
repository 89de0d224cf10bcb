"""Warnings about what a flow may do, but its author will hardly want."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.check.reach import check_reach
from aetherflow.check.secrets import check_secrets
from aetherflow.check.shell import check_shell_variables
from aetherflow.check.variables import check_variables
from aetherflow.engine.findings import Findings
from aetherflow.engine.plan import Plan
from aetherflow.errors import Severity
from aetherflow.secret import Redactor


def check_advice(
    plan: Plan, env: Mapping[str, str], redactor: Redactor, findings: Findings, missing: Severity = "warning"
) -> None:
    """Add warnings to `findings`; `missing` is how severe a variable without value is."""
    check_reach(plan, findings)
    check_shell_variables(plan, findings)
    check_secrets(plan, redactor, findings)
    check_variables(plan, env, findings, missing)
