"""Effects: changes that a step makes outside the run, stored before (intended) and after (confirmed).

A process can die between the two. The next attempt then finds an intent without a confirmation: it verifies
whether the change happened, and repeats it only if it did not.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from inspect import isawaitable
from types import TracebackType
from typing import Any, Self, TypeVar

import msgspec

from aetherflow.errors import StepError
from aetherflow.ports import EffectLog, EffectState
from aetherflow.redaction import Redactor
from aetherflow.sdk.json_values import plain_json, struct_fields

T = TypeVar("T")

NOT_DONE = "not_done"
"""The key of a `result` that says why a change certainly did not happen; `runs show` shows that."""

Found = Mapping[str, Any] | msgspec.Struct | bool | None
"""The result of `verify`: facts about the effect (or True) if it has happened, else None or False."""

Verify = Callable[[], Any]
"""`() -> Found`, in an `async with` block best a coroutine function, in a `with` block a plain function."""


class Effect:
    """One change outside the run; `StepContext.effect` returns it, for an `async with` or `with` block.

    If `done` is true, the change has happened already and the block must not repeat it. Otherwise the intent
    is durable when the block begins, and the confirmation is stored when the block ends without an error.

    Attributes:
        key: names the effect; the same in every attempt, and unique in the step.
        done: whether an earlier attempt made the change; known before the block begins, too.
        result: facts about the effect: set them in the block; read them when `done` is true.
    """

    def __init__(
        self,
        key: str,
        *,
        detail: Mapping[str, Any],
        verify: Verify | None,
        log: EffectLog,
        redactor: Redactor,
        run_async: Callable[[Callable[[], Awaitable[None]]], None],
    ) -> None:
        if not isinstance(key, str):
            raise StepError(f"the key of an effect is a text, not {type(key).__name__}")
        self.key = redactor.text(key)
        self.done = False
        self.result: dict[str, Any] = {}
        self._detail = redactor.value(plain_json(_mapping(detail, f"the detail of the effect {key!r}")))
        self._verify = verify
        self._log = log
        self._redactor = redactor
        self._run_async = run_async
        self._take_confirmed()

    async def __aenter__(self) -> Self:
        self._reserve()
        try:
            if self._must_verify() and self._verify is not None:
                await self._take(self._verify())
            await self._intend()
        except BaseException:
            self._log.free(self.key)
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._confirm()
        else:
            self._log.free(self.key)

    def __enter__(self) -> Self:
        self._reserve()
        try:
            if self._must_verify() and self._verify is not None:
                found = self._verify()
                self._run_async(lambda: self._take(found))
            self._run_async(self._intend)
        except BaseException:
            self._log.free(self.key)
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            self._run_async(self._confirm)
        else:
            self._log.free(self.key)

    def _reserve(self) -> None:
        """Note that this attempt uses the key.

        Raises:
            StepError: it has another effect of this key, done or begun, which would pass for this one.
        """
        if not self._log.reserve(self.key):
            raise StepError(
                f"the step uses the effect key {self.key!r} twice",
                hint="give each effect a key of its own, such as the path of the file",
            )

    def _must_verify(self) -> bool:
        """Return whether an earlier attempt may have made the change, and was not confirmed."""
        return not self._take_confirmed() and self._log.known(self.key) is not None

    def _take_confirmed(self) -> bool:
        """Take over what an earlier attempt confirmed; return whether there is such a thing."""
        known = self._log.known(self.key)
        if known is not None and known.is_confirmed:
            self.done, self.result = True, dict(known.result)
        return self.done

    async def _take(self, found: Found | Awaitable[Found]) -> None:
        """Confirm the effect if `verify` found that it has happened."""
        if isawaitable(found):
            found = await found
        if found is None or found is False:
            return
        self.result = {} if found is True else _mapping(found, f"what verify of {self.key!r} returns")
        await self._log.confirm(self.key, self._stored(), verified=True)
        self.done = True

    async def _intend(self) -> None:
        if not self.done:
            await self._log.intend(self.key, self._detail)

    async def _confirm(self) -> None:
        if not self.done:
            await self._log.confirm(self.key, self._stored(), verified=False)
            self.done = True

    def _stored(self) -> dict[str, Any]:
        """Return the result as the journal takes it.

        Raises:
            StepError: it is no mapping, or cannot be written as JSON.
        """
        result = _mapping(self.result, f"the result of the effect {self.key!r}")
        stored: dict[str, Any] = self._redactor.value(plain_json(result))
        return stored


def _mapping(value: object, what: str) -> dict[str, Any]:
    """Return a mapping or a Struct as a dict: the journal could not be read again with anything else.

    Raises:
        StepError: it is neither.
    """
    match value:
        case msgspec.Struct():
            return struct_fields(value)
        case Mapping():
            return dict(value)
        case _:
            raise StepError(f"{what} must be a mapping, not {type(value).__name__}")


class NoEffects:
    """The effect log of a context outside a run, which has no journal."""

    def reserve(self, _key: str) -> bool:
        """Refuse nothing yet: `intend` does."""
        return True

    def free(self, key: str) -> None:
        """Do nothing."""

    def known(self, key: str) -> None:
        """Return None: no effect is stored."""

    def stored(self) -> Mapping[str, EffectState]:
        """Return nothing: no effect is stored."""
        return {}

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

    def reserve(self, key: str) -> bool:
        """Note that the attempt uses the key; return whether it did not before."""
        return self._outer.reserve(self._prefix + key)

    def free(self, key: str) -> None:
        """Note that the attempt may use the key again."""
        self._outer.free(self._prefix + key)

    def known(self, key: str) -> Any:
        """Return the stored state of an effect."""
        return self._outer.known(self._prefix + key)

    def stored(self) -> Mapping[str, EffectState]:
        """Return the stored effects of the nested step by key."""
        found = self._outer.stored().items()
        return {key.removeprefix(self._prefix): one for key, one in found if key.startswith(self._prefix)}

    async def intend(self, key: str, detail: dict[str, Any]) -> None:
        """Store the intent."""
        await self._outer.intend(self._prefix + key, detail)

    async def confirm(self, key: str, result: dict[str, Any], *, verified: bool) -> None:
        """Store the confirmation."""
        await self._outer.confirm(self._prefix + key, result, verified=verified)
