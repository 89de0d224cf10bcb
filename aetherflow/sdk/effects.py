"""Effects: changes that a step makes outside the run, stored before (intended) and after (confirmed).

A process can die between the two. The next attempt then finds an intent without a confirmation: it verifies
whether the change happened, and repeats it only if it did not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from aetherflow.errors import StepError
from aetherflow.ports import EffectLog
from aetherflow.redaction import Redactor
from aetherflow.sdk.json_values import plain_json, struct_fields

T = TypeVar("T")

Found = Mapping[str, Any] | msgspec.Struct | bool | None
"""What `verify` returns: something about the effect (or True) if it has happened, else None or False."""

Verify = Callable[[], Any]
"""`() -> Found`, a coroutine function in an `async with` block, a plain function in a `with` block."""


class Effect:
    """One change outside; made by `StepContext.effect` and used as a block, `async with` or `with`.

    If `done` is true, the change has happened already and the block must not repeat it. Otherwise the intent
    is durable when the block begins, and the confirmation follows when the block ends without an error.

    Attributes:
        key: what the step does; the same in every attempt, and used once in a step.
        done: whether an earlier attempt has done it.
        result: what is known about it: set it in the block, find it there when `done` is true.
    """

    def __init__(
        self,
        key: str,
        *,
        detail: Mapping[str, Any],
        verify: Verify | None,
        log: EffectLog,
        used: set[str],
        redactor: Redactor,
        run_async: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        self.key = redactor.text(key)
        self.done = False
        self.result: dict[str, Any] = {}
        self._detail = redactor.value(plain_json(detail))
        self._verify = verify
        self._log = log
        self._used = used
        self._redactor = redactor
        self._run_async = run_async

    async def __aenter__(self) -> Self:
        if self._must_verify() and self._verify is not None:
            await self._take(await self._verify())
        await self._intend()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._confirm()

    def __enter__(self) -> Self:
        if self._must_verify() and self._verify is not None:
            found = self._verify()
            self._run_async(lambda: self._take(found))
        self._run_async(self._intend)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._run_async(self._confirm)

    def _must_verify(self) -> bool:
        """Look at what is known; return whether an earlier attempt may have done it.

        Raises:
            StepError: this attempt has done another effect of this key, which would pass for this one.
        """
        if self.key in self._used:
            raise StepError(
                f"the step uses the effect key {self.key!r} twice",
                hint="give each effect a key of its own, such as the path of the file",
            )
        known = self._log.known(self.key)
        if known is not None and known.is_confirmed:
            self.done, self.result = True, dict(known.result)
        return known is not None and not known.is_confirmed

    async def _take(self, found: Found) -> None:
        """Take what `verify` returned: confirm what had happened."""
        if found is None or found is False:
            return
        if isinstance(found, msgspec.Struct):
            found = struct_fields(found)
        self.result = {} if found is True else dict(found)
        await self._log.confirm(self.key, self._stored(), verified=True)
        self.done = True
        self._used.add(self.key)

    async def _intend(self) -> None:
        if not self.done:
            await self._log.intend(self.key, self._detail)

    async def _confirm(self) -> None:
        if not self.done:
            await self._log.confirm(self.key, self._stored(), verified=False)
            self.done = True
        self._used.add(self.key)

    def _stored(self) -> dict[str, Any]:
        stored: dict[str, Any] = self._redactor.value(plain_json(self.result))
        return stored


class NoEffects:
    """The effects of a context that is no part of a run, and so has no journal."""

    def known(self, key: str) -> None:
        """Know nothing."""

    async def intend(self, key: str, _detail: dict[str, Any]) -> None:
        """Refuse.

        Raises:
            StepError: always.
        """
        raise StepError(f"the effect {key!r} cannot be stored: this context is no part of a run")

    async def confirm(self, key: str, _result: dict[str, Any], *, verified: bool) -> None:
        """Do nothing: never reached, since `intend` comes first."""
        del key, verified


class NestedEffects:
    """The effects of a step inside a step: their keys begin with the id of the inner one."""

    def __init__(self, outer: EffectLog, step_id: str) -> None:
        self._outer = outer
        self._prefix = f"{step_id}/"

    def known(self, key: str) -> Any:
        """Return what is known of an effect."""
        return self._outer.known(self._prefix + key)

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Store the intent."""
        await self._outer.intend(self._prefix + key, detail)

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Store the confirmation."""
        await self._outer.confirm(self._prefix + key, result, verified=verified)
