"""The sentences by which a run says that it stops, and exactly what a further signal does. Pure."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from aetherflow.plan.plan import Plan
from aetherflow.stop_signals import name_of

KILL_GRACE_SECONDS = 15
"""The time between SIGTERM and SIGKILL of a program whose step says nothing about it."""

HOOKS_SECONDS = 30.0
"""How long the hooks of a run may take after a second signal, before they are cut off."""


class StopAdvice(msgspec.Struct, frozen=True):
    """How a person asks again: by the keyboard, or by any signal.

    Attributes:
        name: the first one: Ctrl-C, or the name of the signal.
        again: the second request.
        third: the third one, with what it does; empty if there is none.
    """

    name: str
    again: str
    third: str = ""


def advice_for(number: int, *, third: str = "") -> StopAdvice:
    """Return the advice after a signal; `third` is what a third one does."""
    by_keyboard = number == signal.SIGINT
    once_more = "a third Ctrl-C" if by_keyboard else "a third signal"
    return StopAdvice(
        "Ctrl-C" if by_keyboard else name_of(number),
        "Ctrl-C again" if by_keyboard else "a second signal",
        f"{once_more} {third}" if third else "",
    )


def first_notice(advice: StopAdvice, *, runs_hooks: bool, has_hooks: bool, grace: str) -> str:
    """Return what a run says at the first signal; `grace` is how long its programs get (`grace_of`)."""
    if runs_hooks:
        return f"{advice.name}: the jobs have ended; the hooks run to their end; {advice.again} cuts them off"
    then = ", then on_exit runs" if has_hooks else ""
    return (
        f"{advice.name}: the run stops; its programs get SIGTERM, and SIGKILL after {grace}"
        f"{then}; {advice.again} kills the programs at once"
    )


def grace_of(plan: Plan) -> str:
    """Return in words how long the programs of a flow get between SIGTERM and SIGKILL, at most."""
    written = [*_written_graces(step.spec.inputs for job in plan.jobs for step in job.steps)]
    seconds = [one for one in written if isinstance(one, int | float)]
    if len(seconds) < len(written):  # a template, or a text as `2m`
        return "their kill_grace_seconds"
    return f"{max(seconds, default=KILL_GRACE_SECONDS):g} s"


def _written_graces(all_inputs: Iterable[Mapping[str, Any]]) -> Iterator[Any]:
    """Yield what each step says; a step that says nothing has the default."""
    for inputs in all_inputs:
        inner = inputs.get("step")  # of with_lock
        if isinstance(inner, Mapping) and isinstance(inner.get("inputs"), Mapping):
            yield from _written_graces([inner["inputs"]])
        else:
            yield inputs.get("kill_grace_seconds", KILL_GRACE_SECONDS)


def second_notice(advice: StopAdvice, *, runs_hooks: bool, has_hooks: bool) -> str:
    """Return what a run says at the second signal."""
    if runs_hooks:
        what = "the hooks are cut off, their programs are killed"
    else:
        then = f", then on_exit runs for at most {HOOKS_SECONDS:g} s" if has_hooks else ""
        what = f"the programs are killed{then}"
    return f"{what}; {advice.third}" if advice.third else what
