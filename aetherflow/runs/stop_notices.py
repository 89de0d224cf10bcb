"""The sentences by which a run says that it stops, and exactly what a further signal does. Pure."""

from __future__ import annotations

import signal

import msgspec

HOOKS_SECONDS = 30.0
"""How long the hooks of a run may take after a second signal, before they are cut off."""


class StopAdvice(msgspec.Struct, frozen=True):
    """How a person asks again: by the keyboard, or by any signal.

    Attributes:
        again: the second request.
        third: the third one, with what it does; empty if there is none.
    """

    again: str
    third: str = ""


def advice_for(number: int, *, third: str = "") -> StopAdvice:
    """Return the advice after a signal; `third` is what a third one does."""
    by_keyboard = number == signal.SIGINT
    once_more = "a third Ctrl-C" if by_keyboard else "a third signal"
    return StopAdvice(
        "Ctrl-C again" if by_keyboard else "a second signal", f"{once_more} {third}" if third else ""
    )


def first_notice(advice: StopAdvice, *, runs_hooks: bool, has_hooks: bool) -> str:
    """Return what a run says at the first signal."""
    if runs_hooks:
        return f"the jobs have ended; the hooks run to their end; {advice.again} cuts them off"
    then = ", then on_exit runs" if has_hooks else ""
    return (
        "the run stops: its programs get SIGTERM, and SIGKILL after their kill_grace_seconds"
        f"{then}; {advice.again} kills the programs at once"
    )


def second_notice(advice: StopAdvice, *, runs_hooks: bool, has_hooks: bool) -> str:
    """Return what a run says at the second signal."""
    if runs_hooks:
        what = "the hooks are cut off, their programs are killed"
    else:
        then = f", then on_exit runs for at most {HOOKS_SECONDS:g} s" if has_hooks else ""
        what = f"the programs are killed{then}"
    return f"{what}; {advice.third}" if advice.third else what
