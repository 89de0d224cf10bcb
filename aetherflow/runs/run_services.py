"""Build the services that the steps of a run share: connectors, locks, pools, workspace, events."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial

import anyio

from aetherflow.clock import Clock
from aetherflow.engine.state import RunState
from aetherflow.engine.template_scope import RunView
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.events.masking import masked
from aetherflow.events.trace_ids import RunTrace
from aetherflow.execution.bus import Bus
from aetherflow.execution.connector_pool import ConnectorPool
from aetherflow.execution.local_placement import call_nested
from aetherflow.execution.output_files import OutputFiles
from aetherflow.execution.shared_connectors import SharedConnectors
from aetherflow.process import guardian
from aetherflow.process.printed_output import recorded_output
from aetherflow.runs.background import BackgroundTasks, reports_of
from aetherflow.runs.early_secrets import EarlySecrets
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.runs.run_paths import RunPaths
from aetherflow.sdk.connector import Resource
from aetherflow.sdk.services import Locks, Messages, NoMessages, RunServices
from aetherflow.sdk.workspace import Workspace
from aetherflow.store.database import Database
from aetherflow.store.database_pool import SharedDatabase
from aetherflow.store.marks import MarkTable
from aetherflow.store.named_locks import LockTable
from aetherflow.store.process_identity import ProcessIdentity
from aetherflow.store.run_pools import RunPools
from aetherflow.task_errors import one_error


@asynccontextmanager
async def run_services(
    checked: CheckedFlow,
    state: RunState,
    paths: RunPaths,
    database: SharedDatabase,
    owner: ProcessIdentity,
    bus: Bus,
    output_files: OutputFiles,
    clock: Clock,
    *,
    secrets: EarlySecrets,
) -> AsyncIterator[RunServices]:
    """Make what the steps of a run share; at the end close it, and end the processes that are left."""
    redactor = checked.redactor
    shared = SharedConnectors.join()
    events = EventFactory(clock, state.flow_id, state.run_id)

    def warn(message: str, code: str = "") -> None:
        announce(events.notice("warning", message, code))

    def mark() -> dict[str, str]:
        return {guardian.MARK: guardian.new_mark(state.run_id)}

    def announce(event: e.Event) -> None:
        bus.announce(masked(event, redactor))

    def resource(name: str) -> Resource:
        from aetherflow.runs.resolved_resource import resolve  # noqa: PLC0415 - not every flow has some

        return resolve(checked, name, mark=mark, warn=warn, known=secrets.take)

    connectors = ConnectorPool(
        resource,
        checked.registry.connector_class,
        shared,
        knows=checked.plan.resources.__contains__,
        on_release=secrets.forget,
    )
    async with one_error() as tasks:
        background = BackgroundTasks(tasks)
        locks = LockTable(database.database, clock, owner, state.flow_id, state.run_id)
        view = RunView(state, state.scheduled_at or None)
        services = RunServices(
            flow_id=state.flow_id,
            run_id=state.run_id,
            env=checked.environment.variables,
            clock=clock,
            redactor=redactor,
            workspace=_workspace(checked, state, paths),
            zip_drivers=checked.restrictions.zip_drivers,
            log_directory=paths.logs,
            connectors=connectors,
            locks=locks,
            pools=RunPools(database, clock, owner, state.flow_id, state.run_id),
            nested_step=partial(call_nested, step_type_of=checked.step_type),
            announce=announce,
            threads=anyio.CapacityLimiter(paths.max_parallel_jobs + 4),
            large_outputs=output_files,
            execution=state.attempt,
            scheduled_at=view["scheduled_at"] or "",
            run_date=view["date"] or "",
            strict_templates=checked.environment.settings.strict_templates,
            background=background,
            record_output=recorded_output,
            place=checked.plan.place,
            marks=MarkTable(database.database, state.flow_id),
            trace=RunTrace(
                state.flow_id, state.run_id, state.traceparent, state.tracestate, execution=state.attempt
            ),
            messages=_messages(checked, state, database.database, locks, clock),
        )
        try:
            yield services
        finally:
            with anyio.CancelScope(shield=True):
                try:
                    for line in reports_of(await guardian.end_leftovers(state.run_id)):
                        announce(events.notice(line.level, line.message, line.code))
                    await background.aclose()
                finally:
                    for problem in [*await connectors.aclose(), *await shared.leave()]:
                        warn(problem.message, problem.code)


def _messages(
    checked: CheckedFlow, state: RunState, database: Database, locks: Locks, clock: Clock
) -> Messages:
    """Return what decides about the messages of the run."""
    if checked.plan.has_alert_messages:
        from aetherflow.runs.alert_messages import alert_messages  # noqa: PLC0415 - a run of a scheduler file

        return alert_messages(state, database, clock, checked.redactor)
    if checked.plan.flow.notify:
        from aetherflow.runs.flow_messages import FlowMessages  # noqa: PLC0415 - most flows send none

        return FlowMessages(state, database, locks, clock, checked.redactor)
    return NoMessages()


def _workspace(checked: CheckedFlow, state: RunState, paths: RunPaths) -> Workspace:
    settings = checked.environment.settings
    return Workspace(
        root=paths.work_root,
        flow_id=state.flow_id,
        run_id=state.run_id,
        layout=paths.layout,
        strict=settings.strict_sandbox,
        allowed=checked.restrictions.paths,
        access=settings.file_access,
    )
