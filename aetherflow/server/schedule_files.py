"""Load and check scheduler files, with the flows that they name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from aetherflow.check.check_schedule import check_schedule
from aetherflow.check.schedule_advice import advise_items, advise_pools
from aetherflow.config.environment import load_environment
from aetherflow.config.params import read_params
from aetherflow.errors import AetherFlowError, Diagnostic, InvalidInput, UsageError
from aetherflow.language.reference import MissingValue
from aetherflow.language.template import compile_template
from aetherflow.plan.diagnostics import DiagnosticSink
from aetherflow.runs.load_flow import CheckedFlow, load_checked_flow
from aetherflow.runs.run_request import RunRequest, selected_jobs
from aetherflow.schedule.item import Item, Schedule
from aetherflow.server.server_settings import ScheduleConflict
from aetherflow.spec.document import scan_file
from aetherflow.spec.load import read_schedule
from aetherflow.spec.load_manifest import load_manifest
from aetherflow.spec.schedule import is_schedule

INVALID_FLOW = "AF207"

DIAGNOSTICS_PER_FLOW = 20
"""How many diagnostics about a flow are repeated at the item that names it."""


class CheckedSchedule(msgspec.Struct, frozen=True):
    """A scheduler file and what was found; it may be in force only if there are no errors."""

    schedule: Schedule
    sink: DiagnosticSink

    @property
    def diagnostics(self) -> list[Diagnostic]:
        """The diagnostics in the order of the file; those about its flows are where these are named."""
        file = self.sink.document.file
        return sorted(self.sink.diagnostics, key=lambda d: (d.file != file, d.file, d.line, d.column))


def looks_like_schedule(path: Path) -> bool:
    """Whether a file is a scheduler file, by its keys; a file that cannot be read, or only once, is none."""
    try:
        if path.is_fifo():
            return False  # it is a flow, and can be read only once
        document, _ = scan_file(path)
    except (InvalidInput, OSError):
        return False
    return document is not None and is_schedule(document.value)


def examine_schedule(path: Path) -> CheckedSchedule:
    """Read a scheduler file and check what it says, but not the flows that it names.

    Raises:
        InvalidInput: it cannot be read as a scheduler file at all.
    """
    loaded, found = read_schedule(path)
    if loaded is None:
        raise InvalidInput(found)
    sink = DiagnosticSink(loaded.document, found, loaded.guesses)
    return CheckedSchedule(check_schedule(loaded, sink), sink)


def load_schedule(path: Path) -> Schedule:
    """Return a scheduler file without errors.

    Raises:
        InvalidInput: with everything that is wrong with it.
    """
    checked = examine_schedule(path)
    if checked.sink.has_errors:
        raise InvalidInput(checked.diagnostics)
    return checked.schedule


def load_schedules(paths: Sequence[Path]) -> list[Schedule]:
    """Return several scheduler files, whose items are distinguished by the ids of their files.

    Raises:
        InvalidInput: with everything that is wrong with any of them.
        ScheduleConflict: two of them are one file, or have one id.
    """
    checked = [examine_schedule(path) for path in paths]
    wrong = [one for one in checked if one.sink.has_errors]
    if wrong:
        raise InvalidInput([diagnostic for one in wrong for diagnostic in one.diagnostics])
    schedules: dict[str, Schedule] = {}
    for one in checked:
        schedule = one.schedule
        if schedule.id in schedules:
            raise ScheduleConflict(
                f"{schedules[schedule.id].file} and {schedule.file} have the same id {schedule.id!r}",
                hint="name each file once, and give each an id of its own",
            )
        schedules[schedule.id] = schedule
    return list(schedules.values())


def check_flows(checked: CheckedSchedule, process_env: Mapping[str, str]) -> None:
    """Add what is wrong with the flows of the items, their jobs and their params; each flow is read once.

    And what can never work, as far as the file without its flows shows it.
    """
    advise_items(checked.schedule, checked.sink)
    flows: dict[Path, CheckedFlow | AetherFlowError] = {}
    numbers = {spec.id: n for n, spec in reversed(list(enumerate(checked.schedule.spec.items)))}
    for item in checked.schedule.items.values():
        if item.manifest is not None:
            _check_manifest(item, ("items", numbers[item.id]), checked.sink)
        if item.flow_file is None or item.manifest is not None:
            continue
        is_new = item.flow_file not in flows
        if is_new:
            flows[item.flow_file] = _examined(item.flow_file, process_env)
        base, flow = ("items", numbers[item.id]), flows[item.flow_file]
        _check_item(item, flow, base, checked.sink, is_new=is_new)
        if isinstance(flow, CheckedFlow):
            _check_pools(item, flow, base, checked)


def _check_pools(
    item: Item, flow: CheckedFlow, base: tuple[str | int, ...], checked: CheckedSchedule
) -> None:
    """Add which steps of the jobs that an item runs want more of a pool than the file has."""
    try:
        wanted = selected_jobs(flow.plan, RunRequest(flow_job=item.spec.flow_job or ""))
    except UsageError:
        return  # the job does not exist, which is reported already
    jobs = [job for job in flow.plan.jobs if wanted is None or job.index in wanted]
    advise_pools(item, base, [*jobs, *flow.plan.hooks], checked.schedule.spec.pools, checked.sink)


def _check_manifest(item: Item, base: tuple[str | int, ...], sink: DiagnosticSink) -> None:
    """Add what is wrong with the manifest of an item; what its bundle holds is known when it is synced."""
    try:
        load_manifest(item.manifest or Path())
    except InvalidInput as error:
        new = [diagnostic for diagnostic in error.diagnostics if diagnostic not in sink.diagnostics]
        sink.diagnostics += new[:DIAGNOSTICS_PER_FLOW]
        message = f"the bundle manifest of item {item.id!r} is not valid"
        sink.add((*base, "bundle_manifest"), INVALID_FLOW, message, f"correct {item.manifest}")


def _examined(flow: Path, process_env: Mapping[str, str]) -> CheckedFlow | AetherFlowError:
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
    for key, check in (
        ("flow_job", lambda: selected_jobs(flow.plan, RunRequest(flow_job=item.spec.flow_job or ""))),
        ("params", lambda: read_params(flow.plan.flow.params, item.spec.params)),
    ):
        try:
            check()
        except UsageError as error:
            where = (*base, key) if getattr(item.spec, key) else base
            message = error.message.replace("--flow-job", "flow_job").replace("--param ", "params: ")
            sink.add(where, "AF208", f"item {item.id!r}: {message}", error.hint)


def state_of_schedules(
    schedules: Sequence[Schedule], state: Path | None, process_env: Mapping[str, str]
) -> Path:
    """Return the state database of a scheduler: the one named, the files', or that of the settings.

    A path in a file may name `env`; it is relative to the file.

    Raises:
        ScheduleConflict: two files name two databases.
    """
    if state is not None:
        return state.absolute()
    environment = load_environment(process_env)
    named: dict[Path, Path] = {}
    for schedule in schedules:
        text = schedule.spec.state.path
        if text:
            try:
                rendered = compile_template(text)[0].render({"env": environment.variables})
            except MissingValue as error:
                raise UsageError(
                    f"{schedule.file}: state.path: {error.message}", hint=error.hint, code=error.code
                ) from None
            named[(schedule.file.absolute().parent / str(rendered)).absolute()] = schedule.file
        else:
            named[(environment.settings.state_root / "aetherflow.sqlite").absolute()] = schedule.file
    if len(named) > 1:
        listed = ", ".join(f"{file}: {path}" for path, file in named.items())
        raise ScheduleConflict(
            f"the scheduler files have different state databases ({listed})",
            hint="give them the same state.path, add --state FILE, or serve them apart",
        )
    return next(iter(named), (environment.settings.state_root / "aetherflow.sqlite").absolute())
