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
"""The result of `verify`: facts about the effect (or True) if it has happened, else None or False."""

Verify = Callable[[], Any]
"""`() -> Found`, a coroutine function in an `async with` block, a plain function in a `with` block."""


class Effect:
    """One change outside the run; `StepContext.effect` returns it, for an `async with` or `with` block.

    If `done` is true, the change has happened already and the block must not repeat it. Otherwise the intent
    is durable when the block begins, and the confirmation is stored when the block ends without an error.

    Attributes:
        key: names the effect; the same in every attempt, and unique in the step.
        done: whether an earlier attempt made the change.
        result: facts about the effect: set them in the block; read them when `done` is true.
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
        """Look up the stored effect; return whether an earlier attempt may have made the change.

        Raises:
            StepError: this attempt has used the key already, for another effect.
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
        """Confirm the effect if `verify` found that it has happened."""
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
    """The effect log of a context outside a run, which has no journal."""

    def known(self, key: str) -> None:
        """Return None: no effect is stored."""

    async def intend(self, key: str, _detail: dict[str, Any]) -> None:
        """Raise an error.

        Raises:
            StepError: always.
        """
        raise StepError(f"the effect {key!r} cannot be stored: this context is no part of a run")

    async def confirm(self, key: str, _result: dict[str, Any], *, verified: bool) -> None:
        """Do nothing: never reached, since `intend` comes first."""
        del key, verified


class NestedEffects:
    """The effect log of a nested step: prefixes its keys with its id."""

    def __init__(self, outer: EffectLog, step_id: str) -> None:
        self._outer = outer
        self._prefix = f"{step_id}/"

    def known(self, key: str) -> Any:
        """Return the stored state of an effect."""
        return self._outer.known(self._prefix + key)

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Store the intent."""
        await self._outer.intend(self._prefix + key, detail)

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Store the confirmation."""
        await self._outer.confirm(self._prefix + key, result, verified=verified)
