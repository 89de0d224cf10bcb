"""Warn about a flow that is valid but probably not what its author intended."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.check.cut_values import check_cut_values
from aetherflow.check.exposed_secrets import check_secrets
from aetherflow.check.foreign_variables import check_foreign_variables
from aetherflow.check.shared_files import check_shared_files
from aetherflow.check.shell_variables import check_shell_variables
from aetherflow.check.template_defaults import check_template_defaults
from aetherflow.check.unreachable_jobs import check_unreachable_jobs
from aetherflow.check.unset_variables import check_variables
from aetherflow.errors import Severity
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import Plan
from aetherflow.redaction import Redactor


def check_advice(
    plan: Plan,
    env: Mapping[str, str],
    redactor: Redactor,
    sink: DiagnosticSink,
    missing: Severity = "warning",
) -> None:
    """Add warnings to `sink`; `missing` is the severity of a variable without value."""
    check_unreachable_jobs(plan, sink)
    check_shell_variables(plan, sink)
    check_foreign_variables(plan, sink)
    check_template_defaults(plan, sink)
    if any(step_type.program_inputs for step_type in plan.step_types.values()):
        _check_programs(plan, redactor, sink)
    check_shared_files(plan, sink)
    check_cut_values(sink)
    check_secrets(plan, redactor, sink)
    check_variables(plan, env, sink, missing)


def _check_programs(plan: Plan, redactor: Redactor, sink: DiagnosticSink) -> None:
    from aetherflow.check.command_words import check_commands  # noqa: PLC0415 - not every flow runs a program
    from aetherflow.check.files_beside import check_files_beside  # noqa: PLC0415 - as above
    from aetherflow.check.script_values import check_scripts  # noqa: PLC0415 - as above

    check_commands(plan, redactor, sink)
    check_scripts(plan, sink)
    check_files_beside(plan, sink)
