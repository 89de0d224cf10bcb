"""How a run ended: flow, status, what started it, how long it took, and the command that resumes it."""

from __future__ import annotations

from collections.abc import Iterable

from aetherflow.observe.event_text import duration
from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import Command, Fact, Headline
from aetherflow.web.status import badge, css_class, share_bar, tally

WIDE_CHARACTERS = 27
"""A longer value gets twice the room."""


def headline(shown: Headline) -> Markup:
    """Return the head of the page."""
    took = "" if shown.seconds is None else duration(shown.seconds)
    so_far = " so far" if shown.status == "RUNNING" and took else ""
    title = tag(
        "div",
        tag("h1", shown.flow_id),
        badge(shown.status),
        tag("span", f"{took}{so_far}", class_="duration"),
        class_="title",
    )
    run = tag("p", "run ", tag("code", shown.run_id), class_="run-id")
    reason = tag("p", shown.reason, class_="run-reason") if shown.reason else NOTHING
    warnings = [tag("p", tag("b", "! "), one, class_="warning", role="note") for one in shown.warnings]
    return tag(
        "header",
        title,
        run,
        reason,
        joined(warnings),
        facts(shown.facts),
        _numbers(shown),
        _sentences(shown.sentences),
        joined(map(command, shown.commands)),
        class_=f"headline edge-{css_class(shown.status)}",
    )


def facts(shown: Iterable[Fact]) -> Markup:
    """Return names with their values."""
    return tag("dl", (_fact(one) for one in shown), class_="facts")


def _fact(shown: Fact) -> Markup:
    value = tag("code", shown.value) if shown.is_code else shown.value
    note = tag("span", shown.note, class_="note") if shown.note else NOTHING
    is_wide = len(shown.value) > WIDE_CHARACTERS
    named = tag("dt", shown.name), tag("dd", value, " " if shown.note else "", note)
    return tag("div", *named, class_="wide" if is_wide else None)


def _numbers(shown: Headline) -> Markup:
    rows = [
        tag("div", tag("span", name, class_="what"), share_bar(numbers), tally(numbers), class_="numbers")
        for name, numbers in (("jobs", shown.jobs), ("steps", shown.steps))
        if numbers
    ]
    return joined(rows)


def _sentences(shown: tuple[Fact, ...]) -> Markup:
    if not shown:
        return NOTHING
    items = [tag("li", tag("time", one.name), " ", one.value) for one in shown]
    return tag("ol", joined(items), class_="story")


def command(shown: Command) -> Markup:
    """Return a command with a button that copies it, which needs JavaScript."""
    button = tag("button", "copy", type="button", class_="copy needs-js", aria_label=f"copy: {shown.does}")
    return tag(
        "div",
        tag("span", shown.does, class_="does"),
        tag("code", shown.line, class_="line"),
        button,
        class_="command",
    )
