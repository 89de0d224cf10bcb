"""A table of values, in a frame that scrolls where the page is narrow."""

from __future__ import annotations

from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import Table


def table(shown: Table, label: str) -> Markup:
    """Return a table with its note; what is said instead if it has no rows."""
    note = tag("p", shown.note, class_="note") if shown.note else NOTHING
    if not shown.rows:
        return joined((tag("p", shown.empty, class_="note") if shown.empty else NOTHING, note))
    head = tag("tr", (tag("th", name, scope="col") for name in shown.columns))
    body = (
        tag("tr", (_cell(value, is_code=number in shown.machine_columns) for number, value in enumerate(row)))
        for row in shown.rows
    )
    whole = tag("table", tag("thead", head), tag("tbody", body), aria_label=label)
    return joined((tag("div", whole, class_="table-frame"), note))


def _cell(value: str, *, is_code: bool) -> Markup:
    return tag("td", tag("code", value) if is_code and value else value)
