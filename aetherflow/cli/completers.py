"""What a shell offers for an argument: run ids, jobs, step types, codes. Imports nothing until it is asked.

A completer looks only at what exists: it creates no database and runs no step. If it cannot look, it offers
nothing and is silent, as a word in the middle of a command line is no place for an error.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Iterable
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from aetherflow.store.run_rows import RunRow

Offer = tuple[str, str]
"""A word, and what it is."""
Completer = Callable[[typer.Context, str], list[Offer]]

MOST_RUNS = 200
UNFINISHED = ("FAILED", "CANCELLED", "INTERRUPTED")


def _offers(find: Callable[[dict[str, Any]], Iterable[Offer]]) -> Completer:
    """Make a completer of a function that finds words by the arguments before the cursor."""

    def complete(ctx: typer.Context, incomplete: str) -> list[Offer]:
        nowhere = io.StringIO()  # plugins may print when they are loaded
        try:
            with redirect_stdout(nowhere), redirect_stderr(nowhere):
                found = find(_given(ctx))
                return [(word, about) for word, about in found if word.startswith(incomplete)]
        except Exception:  # noqa: BLE001 - a wrong flow, no database, a bug: nothing to offer
            return []

    return complete


def _given(ctx: typer.Context) -> dict[str, Any]:
    """Return the parameters before the cursor; before an option without its value, arguments are unparsed."""
    given, left = dict(ctx.params), list(ctx.args)
    for param in ctx.command.params:
        if param.param_type_name == "argument" and param.name and not given.get(param.name) and left:
            given[param.name] = left.pop(0)
    return given


def _state(given: dict[str, Any]) -> Path:
    from aetherflow.cli.state_access import state_path  # noqa: PLC0415 - imports nothing until it is asked

    state, flow = (Path(found) if (found := given.get(key)) else None for key in ("state", "flow_yaml"))
    return state_path(state, flow)


def _ask(given: dict[str, Any], ask: Callable[[Any], Any]) -> Any:
    from aetherflow.cli.state_access import ask_state  # noqa: PLC0415 - as above

    return ask_state(_state(given), ask)


def _runs_of(given: dict[str, Any], status: str = "", flow_id: str = "") -> list[RunRow]:
    found: list[RunRow] = _ask(given, lambda ask: ask.runs(flow_id=flow_id, status=status, limit=MOST_RUNS))
    return found


def _run(row: RunRow) -> Offer:
    return row.run_id, f"{row.status} {row.flow_id} {row.started_at[:16]}"


@_offers
def runs(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the newest runs."""
    return map(_run, _runs_of(given))


@_offers
def running(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the runs that can be cancelled."""
    return map(_run, _runs_of(given, "RUNNING"))


@_offers
def unfinished(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the runs that can be resumed."""
    return (_run(row) for row in _runs_of(given) if row.status in UNFINISHED)


@_offers
def runs_of_flow(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the earlier runs of the flow on the command line."""
    spec = _flow(given)
    return map(_run, _runs_of({"flow_yaml": _file(given)}, flow_id=spec.flow.id))


@_offers
def flow_ids(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the ids of flows that ran."""
    return dict.fromkeys((row.flow_id, "") for row in _runs_of(given))


def _file(given: dict[str, Any]) -> Path:
    return Path(given.get("flow") or given["flow_yaml"])


def _flow(given: dict[str, Any]) -> Any:
    """Return the flow on the command line, as far as it can be read."""
    from aetherflow.spec.load import read_flow  # noqa: PLC0415 - as above

    document, _ = read_flow(_file(given))
    if document is None:
        raise ValueError("the flow cannot be read")
    return document.spec


@_offers
def jobs(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the jobs of the flow on the command line."""
    return ((job.id, job.description or "") for job in _flow(given).jobs)


@_offers
def jobs_and_steps(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the jobs and steps of the flow on the command line."""
    for job in _flow(given).jobs:
        yield job.id, job.description or ""
        for step in job.steps:
            yield f"{job.id}.{step.id}", step.type


@_offers
def params(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the parameters of the flow on the command line."""
    declared = _flow(given).flow.params
    return ((f"{name}=", param.description or param.type) for name, param in declared.items())


@_offers
def jobs_of_run(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the jobs of the run on the command line."""
    history = _ask(given, lambda ask: ask.run_history(given["run"]))
    return ((job.job_id, job.status) for job in history.jobs if "[" not in job.job_id)


@_offers
def jobs_and_steps_of_run(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the jobs and steps of the run on the command line."""
    history = _ask(given, lambda ask: ask.run_history(given["run"]))
    yield from ((job.job_id, job.status) for job in history.jobs if "[" not in job.job_id)
    yield from (
        (f"{step.job_id}.{step.step_id}", step.status) for step in history.steps if "[" not in step.job_id
    )


@_offers
def jobs_and_steps_of_subject(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the jobs and steps of the run that is the first argument."""
    history = _ask(given, lambda ask: ask.run_history(given["subject"]))
    yield from ((job.job_id, job.status) for job in history.jobs)
    yield from ((f"{step.job_id}.{step.step_id}", step.status) for step in history.steps)


@_offers
def statuses(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the statuses of runs."""
    return ((status, "") for status in ("RUNNING", "SUCCESS", *UNFINISHED))


_LINE_FORMATS = (("json", "JSON lines on standard output"), ("cloudevents", "CloudEvents on standard output"))


@_offers
def log_formats(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the formats of the log."""
    return (("text", "lines for people"), *_LINE_FORMATS)


@_offers
def line_formats(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the formats of events."""
    return _LINE_FORMATS


@_offers
def step_types(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the installed step types."""
    return _step_types()


def _step_types() -> Iterable[Offer]:
    from aetherflow.cli.type_listing import installed_types  # noqa: PLC0415 - as above

    return [(name, "step type") for name in installed_types().step_names()]


@_offers
def connectors(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the installed connectors."""
    from aetherflow.cli.type_listing import installed_types  # noqa: PLC0415 - as above

    return [(name, "connector") for name in installed_types().connector_names()]


@_offers
def executors(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the installed executors."""
    from aetherflow.registry import executor_names  # noqa: PLC0415 - as above

    return [("local", "in the process of the run"), *((name, "executor") for name in executor_names())]


@_offers
def codes(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the error codes."""
    return _codes()


def _codes() -> Iterable[Offer]:
    from aetherflow.manual.error_codes import all_codes  # noqa: PLC0415 - as above

    return [(code, entry.meaning) for code, entry in all_codes().items()]


@_offers
def help_topics(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the pages of the manual, the step types and the error codes."""
    from aetherflow.manual.pages import topics  # noqa: PLC0415 - as above

    yield from ((topic, "page") for topic in topics())
    yield from _codes()
    yield from _step_types()


@_offers
def items(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the items of the scheduler file on the command line, or of those that servers serve."""
    from aetherflow.cli.state_access import ask_state  # noqa: PLC0415 - as above
    from aetherflow.server.schedule_files import load_schedule  # noqa: PLC0415 - as above

    if given.get("file"):
        return [(name, "item") for name in load_schedule(Path(given["file"])).items]
    path = _state({"state": given.get("state")})
    served = ask_state(path, lambda ask: ask.schedulers())
    return [(one.item, scheduler.scheduler) for scheduler in served for one in scheduler.items]


@_offers
def outcomes(_: dict[str, Any]) -> Iterable[Offer]:
    """Offer the outcomes of firings."""
    from aetherflow.admin.item_history import OUTCOMES  # noqa: PLC0415 - as above

    return [(outcome, "") for outcome in OUTCOMES]


@_offers
def items_of_argument(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the items of the scheduler file that is the argument."""
    from aetherflow.server.schedule_files import load_schedule  # noqa: PLC0415 - as above

    return [(name, "item") for name in load_schedule(Path(given["file"])).items]


@_offers
def backfills(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the backfills that are active."""
    found = _ask(given, lambda ask: ask.backfills())
    return [(one.backfill, one.item) for one in found if one.state == "active"]


@_offers
def locks(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the locks that are held."""
    return [(row.lock_key, row.holder) for row in _ask(given, lambda ask: ask.locks())]


@_offers
def marks(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the marks."""
    return [(row.name, f"{row.flow_id} {row.value}") for row in _ask(given, lambda ask: ask.marks())]


@_offers
def pools(given: dict[str, Any]) -> Iterable[Offer]:
    """Offer the pools."""
    return [(row.name, f"{row.slots} slots") for row in _ask(given, lambda ask: ask.pools())]
