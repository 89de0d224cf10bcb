"""Show a status by a word, a sign and a colour: nobody needs the colour to read it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aetherflow.web.markup import NOTHING, Markup, joined, tag

SIGNS: Mapping[str, str] = {
    "SUCCESS": "✓",
    "FAILED": "✕",
    "RUNNING": "▶",
    "CANCELLED": "■",
    "INTERRUPTED": "!",
    "BLOCKED": "⊘",
    "SKIPPED": "»",
    "PENDING": "○",
}
_BAD_FIRST = ("FAILED", "INTERRUPTED", "CANCELLED", "RUNNING", "BLOCKED", "SKIPPED", "PENDING", "SUCCESS")


def sign(status: str) -> str:
    """Return the sign of a status."""
    return SIGNS.get(status, "?")


def css_class(status: str) -> str:
    """Return the class that has the colour of a status."""
    return f"s-{status.lower()}" if status in SIGNS else "s-pending"


def mark(status: str) -> Markup:
    """Return the sign of a status, with the word for those who hear the page."""
    shown = tag("span", sign(status), aria_hidden="true")
    return tag(
        "span", shown, tag("span", status, class_="hear"), class_=f"mark {css_class(status)}", title=status
    )


def badge(status: str) -> Markup:
    """Return a status as a label with sign and word."""
    return tag(
        "span",
        tag("span", sign(status), aria_hidden="true"),
        f" {status}",
        class_=f"badge {css_class(status)}",
    )


def in_order(numbers: Mapping[str, int]) -> list[tuple[str, int]]:
    """Return counts by status, what failed first."""
    known = [(status, numbers[status]) for status in _BAD_FIRST if numbers.get(status)]
    return known + [(status, number) for status, number in numbers.items() if number and status not in SIGNS]


def tally(numbers: Mapping[str, int]) -> Markup:
    """Return counts by status in a line: `✕ 28 FAILED  ✓ 272 SUCCESS`."""
    return tag(
        "span",
        (
            tag(
                "span",
                sign(status),
                f" {number:,} ",
                tag("span", status, class_="word"),
                class_=css_class(status),
            )
            for status, number in in_order(numbers)
        ),
        class_="tally",
    )


def shares(
    numbers: Mapping[str, int], *, left: float, width: float
) -> Iterator[tuple[str, int, float, float]]:
    """Yield each status with its number, where its share of a width begins, and how wide it is."""
    whole = sum(numbers.values())
    for status, number in in_order(numbers):
        share = width * number / whole
        yield status, number, left, share
        left += share


def share_bar(numbers: Mapping[str, int]) -> Markup:
    """Return a bar whose pieces are as long as the shares of the statuses."""
    pieces = [
        tag(
            "rect",
            tag("title", f"{number:,} {status}"),
            x=f"{left:.3f}%",
            width=f"{width:.3f}%",
            height="100%",
            class_=f"fill {css_class(status)}",
        )
        for status, number, left, width in shares(numbers, left=0, width=100)
    ]
    return tag("svg", joined(pieces), class_="share", aria_hidden="true") if pieces else NOTHING
