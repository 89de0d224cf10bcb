"""What a step is, and of which run: the part of its context that never changes."""

from __future__ import annotations

from collections.abc import Mapping

from aetherflow.clock import Clock
from aetherflow.events.trace_ids import RunTrace
from aetherflow.redaction import Redactor
from aetherflow.sdk.services import RunServices
from aetherflow.spec.flow_place import FlowPlace


class StepIdentity:
    """The flow, the run, the job and the attempt of a step, and the environment of its run.

    Attributes:
        span_step: the step whose span this one has: a step inside another one has the span of that.
    """

    def __init__(
        self, services: RunServices, *, job_id: str, step_id: str, step_type: str, attempt: int
    ) -> None:
        self._services = services
        self.job_id = job_id
        self.step_id = step_id
        self.step_type = step_type
        self.attempt = attempt
        self.span_step = step_id

    @property
    def flow_id(self) -> str:
        """The id of the flow."""
        return self._services.flow_id

    @property
    def run_id(self) -> str:
        """The id of the run; it stays the same when the run is resumed."""
        return self._services.run_id

    @property
    def scheduled_at(self) -> str:
        """The time for which the run was scheduled, else when it started (RFC 3339, UTC)."""
        return self._services.scheduled_at

    @property
    def run_date(self) -> str:
        """The date of `scheduled_at` in the time zone of the run (ISO 8601)."""
        return self._services.run_date

    @property
    def execution(self) -> int:
        """How many times the run has been started or resumed, including now."""
        return self._services.execution

    @property
    def env(self) -> Mapping[str, str]:
        """The environment snapshot of the run, which a step reads instead of `os.environ`."""
        return self._services.env

    @property
    def flow_place(self) -> FlowPlace:
        """Where the flow file is, and its folder; empty in a test of a step alone."""
        return self._services.place

    @property
    def clock(self) -> Clock:
        """Time and randomness, replaceable in tests."""
        return self._services.clock

    @property
    def redactor(self) -> Redactor:
        """Masks secrets in texts that people will read."""
        return self._services.redactor

    @property
    def programs_of(self) -> str:
        """Whose end ends what programs left behind: the run, on a worker of a cluster the attempt."""
        return self._services.programs_of or self.run_id

    @property
    def idempotency_key(self) -> str:
        """`run/job/step`: the same in every attempt, so that a server can recognise a repeated request."""
        return f"{self.run_id}/{self.job_id}/{self.step_id}"

    @property
    def trace_variables(self) -> Mapping[str, str]:
        """The variables that make a program continue the trace of the run: `TRACEPARENT`, `TRACESTATE`.

        A program gets the span of this attempt, which is also in the records of its events.
        """
        trace = self._services.trace or RunTrace(self.flow_id, self.run_id, execution=self.execution)
        return trace.variables(self.job_id, self.span_step, self.attempt)
