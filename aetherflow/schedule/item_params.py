"""Render the params of a schedule item for one tick: they may name the dates of the tick. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from aetherflow.language.dates import DateKind, day_in, utc_text
from aetherflow.language.reference import Lenient, TextDiagnostic
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.language.token_hints import spaced_offset
from aetherflow.schedule.item import Item
from aetherflow.schedule.timetable import latest_ticks
from aetherflow.schedule.zone import EPOCH, instant, seconds

NAMES: dict[str, DateKind] = {
    "run.date": "date",
    "run.scheduled_at": "time",
    "run.timezone": "none",
    "run.previous_scheduled_at": "time",
    "run.last_success_at": "time",
    "today": "date",
    "yesterday": "date",
}
"""What the params of an item may name, and what each is."""


def params_at(item: Item, scheduled: datetime, last_success: datetime | None = None) -> dict[str, Any]:
    """Return the params of an item for the tick at a time, calculated in the zone of the item.

    `last_success` is the scheduled time of its last firing before that succeeded. Where there is none, or no
    tick before, a template gives its default, else an empty text.

    Raises:
        TemplateError: the result of a template is outside of the calendar.
    """
    params = item.spec.params
    previous = previous_tick(item, scheduled) if _names(params, "previous_scheduled_at") else None
    return _rendered(params, scheduled, item.zone, previous, last_success)


def needs_last_success(item: Item) -> bool:
    """Whether the params of an item name the last success."""
    return _names(item.spec.params, "last_success_at")


def previous_tick(item: Item, scheduled: datetime) -> datetime | None:
    """Return the last tick before a time, by the timetable of the item; None if there is none."""
    found = latest_ticks(item.table, 0, seconds(scheduled), 1)
    return instant(found[0]) if found else None


def _names(params: dict[str, Any], name: str) -> bool:
    """Whether params name `run.NAME`; most items have none."""
    return bool(params) and any(
        reference.path == ("run", name) for reference in compile_template(params)[0].references
    )


def wrong_params(params: dict[str, Any]) -> Iterator[TextDiagnostic]:
    """Yield what is wrong with the templates in the params of an item."""
    template, problems = compile_template(params)
    yield from problems
    is_wrong = bool(problems)
    for reference in template.references:
        name = ".".join(reference.path)
        if name not in NAMES:
            problem = "is not known in the params of an item"
            hint = spaced_offset(name) or f"what is known here: {', '.join(NAMES)}"
        elif reference.calculation and (why := reference.calculation.problem(NAMES[name])):
            problem, hint = (
                f"cannot be calculated: {why}",
                "an offset or a format is for dates: {{run.date - 1d}}",
            )
        else:
            continue
        is_wrong = True
        message = f"{{{{{reference.written}}}}} {problem}"
        yield TextDiagnostic(message, reference.where, reference.offset, "AF208", hint)
    if is_wrong or not template.references:
        return
    try:
        _rendered(params, EPOCH, "UTC", EPOCH, EPOCH)
    except TemplateError as error:
        yield TextDiagnostic(error.message, (), 0, "AF208", error.hint)


def _rendered(
    params: dict[str, Any],
    scheduled: datetime,
    zone: str,
    previous: datetime | None,
    last_success: datetime | None,
) -> dict[str, Any]:
    day = day_in(scheduled, zone)
    names = {
        "run": {
            "date": day.isoformat(),
            "scheduled_at": utc_text(scheduled),
            "timezone": zone,
            "previous_scheduled_at": utc_text(previous) if previous else None,
            "last_success_at": utc_text(last_success) if last_success else None,
        },
        "today": day.isoformat(),
        "yesterday": (day - timedelta(days=1)).isoformat(),
    }
    rendered: dict[str, Any] = compile_template(params)[0].render(Lenient(names, lambda _: None))
    return rendered
