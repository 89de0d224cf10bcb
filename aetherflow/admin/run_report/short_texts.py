"""Shorten the texts and times of a report."""

from __future__ import annotations


def cut(text: str, most: int) -> str:
    """Return the beginning of a text, with what is missing in numbers."""
    return text if len(text) <= most else f"{text[:most]} … ({len(text) - most:,} more characters)"


def short_time(stored: str | None) -> str:
    """Return a stored time for people: `2026-11-29 20:45:12 UTC`."""
    return f"{stored[:10]} {stored[11:19]} UTC" if stored else ""
