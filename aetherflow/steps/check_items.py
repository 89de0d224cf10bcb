"""The step `check_items`: count items, and end SKIPPED if there are none; many flows begin with it."""

from __future__ import annotations

from contextlib import suppress
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow.sdk.context import StepContext
from aetherflow.sdk.step import Skipped, StepResult
from aetherflow.sdk.step_decorator import step
from aetherflow.spec.spelling import TEXTS_ONLY


class CheckItemsInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Inputs of `check_items`.

    Attributes:
        items: a list, JSON text that is one, or text with commas between the items (empty ones do not count).
        min_count: fewer items than this: SKIPPED.
    """

    items: list[Any] | Annotated[str, Meta(extra=TEXTS_ONLY)] | None
    min_count: int = 1


class CheckItemsOutput(msgspec.Struct, frozen=True):
    """Outputs of `check_items`.

    Attributes:
        has_data: whether there are enough items.
        count: how many there are.
    """

    has_data: bool
    count: int


@step("check_items")
async def check_items(context: StepContext, inputs: CheckItemsInput) -> CheckItemsOutput | StepResult:
    """Count items; SKIPPED when there are fewer than `min_count`."""
    del context
    items = inputs.items or []
    if isinstance(items, str):
        items = _listed(items)
    count = len(items)
    if count >= inputs.min_count:
        return CheckItemsOutput(has_data=True, count=count)
    reason = f"{count} items, fewer than min_count {inputs.min_count}"
    return Skipped(reason, {"has_data": False, "count": count})


def _listed(text: str) -> list[Any]:
    if text.lstrip().startswith("["):
        with suppress(msgspec.DecodeError, RecursionError):
            return msgspec.json.decode(text, type=list[Any])
    return [item for item in text.split(",") if item.strip()]
