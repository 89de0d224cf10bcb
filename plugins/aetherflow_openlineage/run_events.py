"""Make OpenLineage run events of the records of a run: of the run, its jobs and the attempts of its steps.

A run here is a run there, each job and each attempt of a step too, with the run or job above it as its
parent. Every START has its COMPLETE, FAIL or ABORT. The ids are computed from the span ids of the records,
so each execution of a run has its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple
from uuid import UUID, uuid5

from openlineage.client.event_v2 import Job, Run, RunEvent, RunState
from openlineage.client.facet_v2 import (
    error_message_run,
    job_type_job,
    nominal_time_run,
    parent_run,
    processing_engine_run,
)

from aetherflow import __version__
from aetherflow_openlineage.datasets import inputs_of, outputs_of, sql_of

Record = Mapping[str, Any]

PRODUCER = f"https://pypi.org/project/aetherflow/{__version__}"
IDS = UUID("6f0b5c1e-8a57-5f0e-9d43-6d0a1f6b8c11")
"""The namespace of the run ids (RFC 9562, version 5); it never changes."""

_ENDS = {
    "SUCCESS": RunState.COMPLETE,
    "SKIPPED": RunState.COMPLETE,
    "FAILED": RunState.FAIL,
    "CANCELLED": RunState.ABORT,
    "BLOCKED": RunState.ABORT,
}


class Parent(NamedTuple):
    """A run that others are part of: its job and its id."""

    namespace: str
    name: str
    run_id: str


class _Started(NamedTuple):
    """A run, job or attempt that has started."""

    self_: Parent
    parent: Parent | None
    kind: str


class LineageEvents:
    """The events of one execution of a run.

    Args:
        namespace: of the jobs.
        outer: the run that started this one, if it is known.
    """

    def __init__(self, namespace: str, outer: Parent | None = None) -> None:
        self._namespace = namespace
        self._outer = outer
        self._run: _Started | None = None
        self._jobs: dict[str, _Started] = {}
        self._steps: dict[str, _Started] = {}
        self._nominal = ""
        self._last: Record = {}

    def take(self, record: Record) -> list[RunEvent]:
        """Take the next record; return the events that it makes."""
        self._last = record
        job_id = record.get("job_id", "")
        match record["event"]:
            case "run_started" | "run_resumed":
                self._nominal = record.get("scheduled_at", "") or self._nominal
                self._jobs, self._steps = {}, {}
                self._run = self._started(record, record["flow_id"], self._outer, "FLOW")
                return [self._event(self._run, RunState.START, record)]
            case "job_started":
                above = self._jobs.get(_whole_job(job_id)) or self._run
                started = self._jobs[job_id] = self._started(
                    record, f"{record['flow_id']}.{_whole_job(job_id) or job_id}", _parent(above), "JOB"
                )
                return [self._event(started, RunState.START, record)]
            case "step_placed" if job_id in self._steps:
                return []  # its step has started already; else that was before the run was resumed
            case "step_started" | "step_placed":
                above = self._jobs.get(job_id) or self._run
                name = f"{record['flow_id']}.{_whole_job(job_id) or job_id}.{record['step_id']}"
                started = self._steps[job_id] = self._started(record, name, _parent(above), "STEP")
                return [self._event(started, RunState.START, record)]
            case "step_retrying" | "step_finished":
                return self._ended(self._steps.pop(job_id, None), record)
            case "job_finished":
                return self._ended(self._jobs.pop(job_id, None), record)
            case "run_summary":
                run, self._run = self._run, None
                return [*self.left(), *self._ended(run, record)]
        return []

    def left(self) -> list[RunEvent]:
        """Return the ends of what has not ended: the run is left to another execution."""
        run = [] if self._run is None else [self._run]
        open_ones = [*self._steps.values(), *reversed(self._jobs.values()), *run]
        self._steps, self._jobs, self._run = {}, {}, None
        return [self._event(one, RunState.ABORT, self._last) for one in open_ones]

    def _started(self, record: Record, name: str, parent: Parent | None, kind: str) -> _Started:
        run_id = uuid5(IDS, f"{record['trace_id']}/{record['span_id']}")
        return _Started(Parent(self._namespace, name, str(run_id)), parent, kind)

    def _ended(self, started: _Started | None, record: Record) -> list[RunEvent]:
        """Return the event that ends something; nothing if it did not start, as a job that is skipped."""
        if started is None:
            return []
        state = RunState.FAIL if record["event"] == "step_retrying" else _ENDS[record["status"]]
        return [self._event(started, state, record)]

    def _event(self, started: _Started, state: RunState, record: Record) -> RunEvent:
        job_facets: dict[str, Any] = {
            "jobType": job_type_job.JobTypeJobFacet(
                processingType="BATCH", integration="AETHERFLOW", jobType=started.kind, producer=PRODUCER
            )
        }
        has_data = started.kind == "STEP" and state is not RunState.START
        if has_data and (sql := sql_of(record)) is not None:
            job_facets["sql"] = sql
        own = started.self_
        return RunEvent(
            eventType=state,
            eventTime=record["timestamp"],
            run=Run(own.run_id, self._run_facets(started, state, record)),
            job=Job(own.namespace, own.name, job_facets),
            producer=PRODUCER,
            inputs=inputs_of(record) if has_data else [],
            outputs=outputs_of(record) if has_data else [],
        )

    def _run_facets(self, started: _Started, state: RunState, record: Record) -> dict[str, Any]:
        facets: dict[str, Any] = {
            "processing_engine": processing_engine_run.ProcessingEngineRunFacet(
                version=__version__,
                name="AetherFlow",
                openlineageAdapterVersion=__version__,
                producer=PRODUCER,
            )
        }
        if (above := started.parent) is not None:
            top = self._outer or (self._run.self_ if self._run is not None else above)
            facets["parent"] = parent_run.ParentRunFacet(
                run=parent_run.Run(runId=above.run_id, facets=None),
                job=parent_run.Job(namespace=above.namespace, name=above.name, facets=None),
                root=parent_run.Root(
                    run=parent_run.RootRun(runId=top.run_id, facets=None),
                    job=parent_run.RootJob(namespace=top.namespace, name=top.name, facets=None),
                ),
                producer=PRODUCER,
            )
        if self._nominal:
            facets["nominalTime"] = nominal_time_run.NominalTimeRunFacet(
                nominalStartTime=self._nominal, producer=PRODUCER
            )
        if state is RunState.FAIL:
            facets["errorMessage"] = error_message_run.ErrorMessageRunFacet(
                message=_why(record), programmingLanguage="YAML", producer=PRODUCER
            )
        return facets


def _why(record: Record) -> str:
    """Return why something failed: its error, its reason, of a run its first failure."""
    failures = record.get("failures") or [{}]
    error = record.get("error") or failures[0].get("error") or {}
    return str(error.get("message") or record.get("reason") or record["message"])


def _parent(started: _Started | None) -> Parent | None:
    return None if started is None else started.self_


def _whole_job(job_id: str) -> str:
    """Return the job of an instance `load[3]`; another job has none."""
    return job_id.rpartition("[")[0] if job_id.endswith("]") else ""
