"""Check what a flow says about dates: its time zone, and the dates that its templates calculate. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from aetherflow.language.dates import DateKind
from aetherflow.language.reference import Reference
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.plan.plan import DAY_ROOTS
from aetherflow.spec.flow import ParamSpec, ParamType

_NO_DATE_ROOTS = ("run_id", "flow_id", "item_index", "flow")
_KINDS: Mapping[ParamType, DateKind | Literal["unknown"]] = {
    "date": "date",
    "datetime": "time",
    "string": "unknown",
    "enum": "unknown",
    "json": "unknown",
}
"""What a parameter of each type holds; all other types hold no date."""


def check_timezone(name: str | None, sink: DiagnosticSink) -> None:
    """Report a `flow.timezone` that does not exist."""
    if name is None:
        return
    from aetherflow.schedule.zone import zone_problem  # noqa: PLC0415 - few flows name a zone

    if (problem := zone_problem(name)) is not None:
        sink.add(("flow", "timezone"), problem.code, problem.message, problem.hint)


def date_problem(reference: Reference, params: Mapping[str, ParamSpec]) -> str:
    """Return why a reference cannot be calculated, as far as it is known before a run; or nothing."""
    if reference.calculation is None:
        return ""
    kind = _kind_of(reference.path, params)
    return "" if kind == "unknown" else reference.calculation.problem(kind)


def is_date(reference: Reference, params: Mapping[str, ParamSpec]) -> bool:
    """Whether a reference surely names a date or a time."""
    return _kind_of(reference.path, params) in ("date", "time")


def _kind_of(path: tuple[str, ...], params: Mapping[str, ParamSpec]) -> DateKind | Literal["unknown"]:
    match path:
        case ("run", "date"):
            return "date"
        case ("run", "scheduled_at" | "started_at"):
            return "time"
        case ("run", *_):
            return "none"
        case ("params", name) if (spec := params.get(name)) is not None:
            return _KINDS.get(spec.type, "none")
        case (root,) if root in DAY_ROOTS:
            return "date"
        case (root, *_) if root in _NO_DATE_ROOTS:
            return "none"
        case _:
            return "unknown"
