"""Check the flows and manifests that the items of a scheduler file name, for `validate`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec

from aetherflow.check.schedule_advice import advise_pools
from aetherflow.config.param_values import Reading
from aetherflow.config.params import ParamsError, read_params
from aetherflow.errors import AetherFlowError, ConfigError, Diagnostic, InvalidInput, UsageError
from aetherflow.language.dates import day_in
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.registry import observer_target
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.run_request import RunRequest, selected_jobs
from aetherflow.schedule.item import Item
from aetherflow.schedule.item_params import params_at
from aetherflow.server.schedule_files import CheckedSchedule
from aetherflow.spec.load_manifest import load_manifest
from aetherflow.written_path import folder_of

_PLAIN = re.compile(r"[\w.-]+")
INVALID_FLOW = "AF207"

DIAGNOSTICS_PER_FLOW = 20
"""How many diagnostics about a flow are repeated at the item that names it."""


class FlowProblems(msgspec.Struct, frozen=True):
    """What is wrong with the flows of a scheduler file.

    Attributes:
        items: the items that cannot run, each with its first error.
        on_late: the first error in the `on_late` steps and the messages.
    """

    items: dict[str, Diagnostic] = {}
    on_late: Diagnostic | None = None


def check_item_flows(checked: CheckedSchedule, process_env: Mapping[str, str]) -> FlowProblems:
    """Report the errors in the flows, manifests, jobs and params that the items name; read each flow once.

    Also check the `on_late` steps and the messages, and warn about pools that are too small.
    """
    problems: dict[str, Diagnostic] = {}
    flows: dict[Path, CheckedFlow | AetherFlowError] = {}
    numbers = {spec.id: n for n, spec in reversed(list(enumerate(checked.schedule.spec.items)))}
    for item in checked.schedule.items.values():
        number, known = numbers[item.id], len(checked.sink.diagnostics)
        if item.missing:
            problems[item.id] = _missing_file(checked.sink, item, number)
            continue
        _check_one(item, ("items", number), flows, checked, process_env)
        new = checked.sink.diagnostics[known:]
        wrong = [one for one in new if one.severity == "error" and one.file == checked.sink.document.file]
        if wrong:
            problems[item.id] = wrong[0]
    has_on_late = any(item.spec.on_late or item.spec.notify for item in checked.schedule.items.values())
    return FlowProblems(problems, _check_on_late(checked, process_env) if has_on_late else None)


def _missing_file(sink: DiagnosticSink, item: Item, number: int) -> Diagnostic:
    """Return the error of an item whose flow or manifest does not exist, which is reported already."""
    key = "flow_yaml" if item.manifest is None else "bundle_manifest"
    place = sink.place(("items", number, key))
    return next(d for d in sink.diagnostics if (d.line, d.column) == (place.line, place.column))


def _check_one(
    item: Item,
    base: tuple[str | int, ...],
    flows: dict[Path, CheckedFlow | AetherFlowError],
    checked: CheckedSchedule,
    process_env: Mapping[str, str],
) -> None:
    if item.manifest is not None:
        _check_manifest(item, base, checked.sink)
    if item.flow_file is None or item.manifest is not None:
        return
    is_new = item.flow_file not in flows
    if is_new:
        flows[item.flow_file] = _load_or_error(item.flow_file, process_env)
    flow = flows[item.flow_file]
    _check_item(item, flow, base, checked.sink, is_new=is_new)
    if isinstance(flow, CheckedFlow):
        _check_pools(item, flow, base, checked)


def _check_on_late(checked: CheckedSchedule, process_env: Mapping[str, str]) -> Diagnostic | None:
    """Report the errors in the `on_late` steps of the text that was checked; return the first."""
    sink, schedule = checked.sink, checked.schedule
    try:
        found: Sequence[Diagnostic] = load_checked_flow(
            schedule.file, process_env, text=schedule.source
        ).diagnostics
    except InvalidInput as error:
        found = error.diagnostics
    except AetherFlowError as error:
        sink.add(
            ("items",),
            INVALID_FLOW,
            f"the steps of on_late and notify are not valid: {error.message}",
            error.hint,
        )
        return sink.diagnostics[-1]
    known = {(one.file, one.line, one.column, one.message) for one in sink.diagnostics}
    new = [one for one in found if (one.file, one.line, one.column, one.message) not in known]
    sink.diagnostics += new
    return next((one for one in new if one.severity == "error"), None)


def _check_pools(
    item: Item, flow: CheckedFlow, base: tuple[str | int, ...], checked: CheckedSchedule
) -> None:
    """Warn about steps that need more slots of a pool than the scheduler file gives it."""
    try:
        wanted = selected_jobs(flow.plan, RunRequest(flow_job=item.spec.flow_job or ""))
    except UsageError:
        return  # the job does not exist, which is reported already
    jobs = [job for job in flow.plan.jobs if wanted is None or job.index in wanted]
    advise_pools(item, base, [*jobs, *flow.plan.hooks], checked.schedule.spec.pools, checked.sink)


def _check_manifest(item: Item, base: tuple[str | int, ...], sink: DiagnosticSink) -> None:
    """Report the errors in the manifest of an item; the flow of its bundle is checked after a sync."""
    try:
        load_manifest(item.manifest or Path())
    except InvalidInput as error:
        new = [diagnostic for diagnostic in error.diagnostics if diagnostic not in sink.diagnostics]
        sink.diagnostics += new[:DIAGNOSTICS_PER_FLOW]
        message = f"the bundle manifest of item {item.id!r} is not valid"
        sink.add((*base, "bundle_manifest"), INVALID_FLOW, message, f"correct {item.manifest}")


def _load_or_error(flow: Path, process_env: Mapping[str, str]) -> CheckedFlow | AetherFlowError:
    try:
        return load_checked_flow(flow, process_env)
    except AetherFlowError as error:
        return error


def _check_item(
    item: Item,
    flow: CheckedFlow | AetherFlowError,
    base: tuple[str | int, ...],
    sink: DiagnosticSink,
    *,
    is_new: bool,
) -> None:
    if isinstance(flow, AetherFlowError):
        if isinstance(flow, InvalidInput):
            sink.diagnostics += flow.diagnostics[:DIAGNOSTICS_PER_FLOW] if is_new else []
        hint = f"aetherflow validate {item.flow_file}"
        message = f"the flow of item {item.id!r} is not valid"
        if not isinstance(flow, InvalidInput):
            message += f": {flow.message}"
        sink.add((*base, "flow_yaml"), INVALID_FLOW, message, hint)
        return
    if is_new:
        sink.diagnostics += flow.diagnostics[:DIAGNOSTICS_PER_FLOW]
    if flow.errors:
        hint = f"aetherflow validate {item.flow_file}"
        sink.add((*base, "flow_yaml"), INVALID_FLOW, f"the flow of item {item.id!r} is not valid", hint)
    try:
        selected_jobs(flow.plan, RunRequest(flow_job=item.spec.flow_job or ""))
    except UsageError as error:
        message = f"item {item.id!r}: {error.message}".replace("--flow-job", "flow_job")
        sink.add((*base, "flow_job"), "AF208", message, error.hint)
    _check_observers(item, flow, base, sink)
    _check_params(item, flow, base, sink)


def _check_observers(
    item: Item, flow: CheckedFlow, base: tuple[str | int, ...], sink: DiagnosticSink
) -> None:
    """Report observers that the project of a flow names and that do not exist: no run of it would begin."""
    for name in flow.environment.settings.observers:
        try:
            observer_target(name)
        except ConfigError as error:
            message = f"the settings of the flow of item {item.id!r}: {error.message}"
            sink.add((*base, "flow_yaml"), INVALID_FLOW, message, error.hint)


def _check_params(item: Item, flow: CheckedFlow, base: tuple[str | int, ...], sink: DiagnosticSink) -> None:
    """Report params that are unknown, unfit, or required and not given; those of a tick now are read."""
    now = datetime.now(UTC)
    zone = flow.plan.flow.timezone or item.zone
    try:
        reading = Reading(day_in(now, zone), item.folder, folder_of(Path(flow.plan.file)))
        read_params(flow.plan.flow.params, params_at(item, now), reading=reading)
    except AetherFlowError as error:
        where = (*base, "params") if item.spec.params else base
        hint = error.hint
        if isinstance(error, ParamsError) and error.missing:
            given = ", ".join(f"{name}: {_in_yaml(text)}" for name, text in error.missing.items())
            hint = f"add params: {{{given}}}"
        sink.add(where, "AF208", f"item {item.id!r}: {error.message}", hint)


def _in_yaml(text: str) -> str:
    """Return a text as an entry of a YAML mapping in one line."""
    return text if _PLAIN.fullmatch(text) else f"'{text}'"
