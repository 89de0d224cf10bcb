"""Render the params of a schedule item for one tick: they may name the dates of the tick. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

from aetherflow.language.dates import day_in
from aetherflow.language.reference import TextDiagnostic
from aetherflow.language.template import compile_template
from aetherflow.schedule.item import Item

NAMES = ("run.date", "run.scheduled_at", "run.timezone", "today", "yesterday")
"""What the params of an item may name."""


def params_at(item: Item, scheduled: datetime) -> dict[str, Any]:
    """Return the params of an item for the tick at a time, reckoned in the zone of the item.

    Raises:
        TemplateError: they reckon with what is no date.
    """
    rendered: dict[str, Any] = compile_template(item.spec.params)[0].render(_scope(item, scheduled))
    return rendered


def wrong_params(params: dict[str, Any]) -> Iterator[TextDiagnostic]:
    """Yield what is wrong with the templates in the params of an item."""
    template, problems = compile_template(params)
    yield from problems
    for reference in template.references:
        if ".".join(reference.path) not in NAMES:
            message = f"{{{{{reference.written}}}}} is not known in the params of an item"
            hint = f"what is known here: {', '.join(NAMES)}"
            yield TextDiagnostic(message, reference.where, reference.offset, "AF208", hint)


def _scope(item: Item, scheduled: datetime) -> dict[str, Any]:
    day = day_in(scheduled, item.zone)
    return {
        "run": {
            "date": day.isoformat(),
            "scheduled_at": scheduled.isoformat().replace("+00:00", "Z"),
            "timezone": item.zone,
        },
        "today": day.isoformat(),
        "yesterday": (day - timedelta(days=1)).isoformat(),
    }
