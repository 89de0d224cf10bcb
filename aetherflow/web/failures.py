"""What failed, each distinct failure once, with its place in the flow and the last lines of the program."""

from __future__ import annotations

from collections.abc import Sequence

from aetherflow.web.markup import NOTHING, Markup, joined, tag
from aetherflow.web.model import Failure
from aetherflow.web.status import css_class, sign


def failures(shown: Sequence[Failure], more: int) -> Markup:
    """Return the failures; nothing if there are none."""
    rest = tag("p", f"{more:,} more failures are not shown here.", class_="note") if more else NOTHING
    return joined((*map(_failure, shown), rest))


def _failure(shown: Failure) -> Markup:
    where = [tag("a", shown.where, href=f"#{shown.job}") if shown.job else tag("b", shown.where)]
    head = [
        tag("span", sign("FAILED"), class_=css_class("FAILED"), aria_hidden="true"),
        " ",
        tag("h3", joined(where)),
    ]
    if shown.item:
        head += [" ", tag("span", shown.item, class_="item")]
    if shown.step_type:
        head += [" ", tag("span", shown.step_type, class_="type")]
    if shown.place:
        place = tag("a", shown.place, href=f"#L{shown.line}") if shown.line else shown.place
        head += [" ", tag("span", place, class_="place")]
    if shown.attempts > 1:
        head += [" ", tag("span", f"attempt {shown.attempts}", class_="chip")]
    if shown.at:
        head += [" ", tag("time", shown.at)]
    parts = [tag("div", joined(head), class_="failure-head"), _reason(shown)]
    if shown.hint:
        parts.append(tag("p", tag("b", "What to do: "), shown.hint, class_="hint"))
    if shown.lines:
        parts.append(tag("pre", "\n".join(shown.lines), class_="tail", tabindex=0, aria_label="last lines"))
    if shown.log:
        parts.append(tag("p", tag("a", "more of this log", href=f"#{shown.log}"), class_="reason"))
    if shown.alike:
        more = f", and {shown.more_alike:,} more" if shown.more_alike else ""
        number = len(shown.alike) + shown.more_alike
        parts.append(
            tag(
                "details",
                tag("summary", f"the same happened {number:,} more time{'' if number == 1 else 's'}"),
                tag("p", ", ".join(shown.alike) + more),
                class_="alike",
            )
        )
    return tag("article", joined(parts), class_="failure")


def _reason(shown: Failure) -> Markup:
    code = tag("code", shown.code, class_="code") if shown.code else NOTHING
    first, _, more = shown.message.partition("\n")
    rest = tag("pre", more, class_="error") if more.strip() else NOTHING
    return joined((tag("p", code, " " if shown.code else "", first, class_="message"), rest))
