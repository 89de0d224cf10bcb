"""Render the params of a schedule item for one tick: they may name the dates of the tick. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from aetherflow.language.dates import DateKind, day_in, utc_text
from aetherflow.language.reference import TextDiagnostic
from aetherflow.language.template import compile_template
from aetherflow.language.template_error import TemplateError
from aetherflow.language.token_hints import spaced_offset
from aetherflow.schedule.item import Item
from aetherflow.schedule.zone import EPOCH

NAMES: dict[str, DateKind] = {
    "run.date": "date",
    "run.scheduled_at": "time",
    "run.timezone": "none",
    "today": "date",
    "yesterday": "date",
}
"""What the params of an item may name, and what each is."""


def params_at(item: Item, scheduled: datetime) -> dict[str, Any]:
    """Return the params of an item for the tick at a time, calculated in the zone of the item.

    Raises:
        TemplateError: the result of a template is outside of the calendar.
    """
    return _rendered(item.spec.params, scheduled, item.zone)


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
    if is_wrong:
        return
    try:
        _rendered(params, EPOCH, "UTC")
    except TemplateError as error:
        yield TextDiagnostic(error.message, (), 0, "AF208", error.hint)


def _rendered(params: dict[str, Any], scheduled: datetime, zone: str) -> dict[str, Any]:
    day = day_in(scheduled, zone)
    names = {
        "run": {
            "date": day.isoformat(),
            "scheduled_at": utc_text(scheduled),
            "timezone": zone,
        },
        "today": day.isoformat(),
        "yesterday": (day - timedelta(days=1)).isoformat(),
    }
    rendered: dict[str, Any] = compile_template(params)[0].render(names)
    return rendered
