"""Fetch the secrets that a run could open before its first line of output: every execution masks them.

A program may print a secret that no step of this execution opens: the step that did is kept, or comes later.
What was fetched stays in memory for the first opening of its resource, so a program that prints a secret runs
once. An opening fetches it again when the value has become old, or when a step has ended since: it may have
changed what the program prints. Files are always read again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING

import anyio
import anyio.to_thread
import msgspec

from aetherflow.clock import Clock
from aetherflow.config.secret_reference import SecretReference
from aetherflow.config.value_providers import Surroundings, fetch_secret
from aetherflow.errors import AetherFlowError
from aetherflow.events import run_events as e
from aetherflow.events.event_factory import EventFactory
from aetherflow.process import guardian
from aetherflow.runs.load_flow import CheckedFlow
from aetherflow.task_errors import one_error

if TYPE_CHECKING:
    from aetherflow.config.secret_fields import SecretField

FETCH_SECONDS = 40.0
"""How long the start of a run waits for its secrets; a program has 30 s, and `decode` may hang."""

KEEP_SECONDS = 30.0
"""How old a value may be that an opening uses: some are valid for a short time only."""

AT_ONCE = 16
"""How many secrets of one run are fetched at a time; another run never waits for them."""


class _Fetched(msgspec.Struct, frozen=True):
    """A value in memory, and when it was fetched (monotonic seconds)."""

    value: str
    at: float


class EarlySecrets:
    """The secrets of one execution of a run: fetched at its start, used by the first opening."""

    def __init__(self, checked: CheckedFlow, run_id: str, clock: Clock) -> None:
        self._checked = checked
        self._run_id = run_id
        self._clock = clock
        self._values: dict[SecretReference | str, _Fetched] = {}
        self._unknown = dict.fromkeys(checked.secret_fields, "no answer in time")
        self._decoding = anyio.Lock()
        self._threads = anyio.CapacityLimiter(AT_ONCE)

    @property
    def are_needed(self) -> bool:
        """Whether there is anything to fetch."""
        return bool(self._checked.secret_fields)

    async def fetch(self) -> None:
        """Fetch and register all secrets at once, within FETCH_SECONDS; what fails is for `notices`."""
        fields: dict[tuple[SecretReference | str, bool], list[SecretField]] = {}
        for field in self._checked.secret_fields:
            fields.setdefault((field.source, field.is_decoded), []).append(field)
        with anyio.move_on_after(FETCH_SECONDS):
            async with one_error() as tasks:
                for alike in fields.values():
                    tasks.start_soon(self._learn, alike)

    async def _learn(self, alike: list[SecretField]) -> None:
        """Fetch, decode and register what several fields have in common."""
        field, provider = alike[0], self._checked.environment.secrets
        try:
            value = field.source
            if isinstance(value, SecretReference):
                value = await self._call(alike, partial(self._fetch, value))
            if field.is_decoded and provider is not None:
                async with self._decoding:  # user code that was never called twice at a time by one run
                    encoded, value = value, await self._call(alike, partial(provider.decode, value))
                self._values[encoded] = _Fetched(value, self._clock.monotonic())
        except AetherFlowError as error:
            for one in alike:
                self._unknown[one] = error.message
        else:
            for one in alike:
                del self._unknown[one]

    async def _call(self, alike: list[SecretField], function: Callable[[], str]) -> str:
        """Call a blocking function in a thread that registers what it returns, also if it is late."""

        def call() -> str:
            value = function()
            for one in alike:
                one.register(value, self._checked.redactor)
            return value

        return await anyio.to_thread.run_sync(call, abandon_on_cancel=True, limiter=self._threads)

    def _fetch(self, reference: SecretReference) -> str:
        value = fetch_secret(reference, Surroundings(self._checked.environment.variables, self._mark))
        if reference.provider != "file":
            self._values[reference] = _Fetched(value, self._clock.monotonic())
        return value

    def _mark(self) -> Mapping[str, str]:
        return {guardian.MARK: guardian.new_mark(self._run_id)}

    def take(self, source: SecretReference | str) -> str | None:
        """Return what was fetched a moment ago, once; called in worker threads."""
        found = self._values.pop(source, None)
        is_fresh = found is not None and self._clock.monotonic() - found.at < KEEP_SECONDS
        return found.value if found is not None and is_fresh else None

    def forget(self) -> None:
        """Forget the values, because a step has ended; they stay registered."""
        self._values.clear()

    def notices(self, events: EventFactory) -> list[e.Notice]:
        """Return a warning for each secret that is not masked until its resource is opened."""
        return [
            events.notice(
                "warning",
                self._checked.redactor.text(
                    f"{field} could not be fetched when the run began ({why}); what it holds is not masked "
                    "until a step opens the resource"
                ),
                "AF575",
            )
            for field, why in self._unknown.items()
        ]
