"""Say how a text that YAML reads as a mapping or list is written in quotes."""

from __future__ import annotations

from typing import Any

from aetherflow.spec.document import Document, NodePath

QUOTES = "write one text, in quotes if it holds ': ', brackets or braces"
"""The hint where the text that was meant is not clear."""


def quotes_hint(document: Document, value: dict[str, Any] | list[Any], path: NodePath) -> str:
    """Return what to write at `path`, where a text is wanted, instead of a mapping or list."""
    text = _meant(document, value, path)
    if not text:
        return QUOTES
    quote = "'" if '"' in text or "\\" in text else '"'
    return f"write {quote}{text}{quote}"


def _meant(document: Document, value: dict[str, Any] | list[Any], path: NodePath) -> str:
    """Return the text that a mapping or list of one scalar probably is; empty if that is unclear."""
    pairs: list[tuple[str | int, Any]] = list(value.items() if isinstance(value, dict) else enumerate(value))
    if len(pairs) != 1 or isinstance(pairs[0][1], dict | list):
        return ""
    key, item = pairs[0]
    text = document.written((*path, key), item)
    if "\n" in text or "'" in text:
        return ""
    if isinstance(value, list):
        return f"[{text}]"
    here, inside = document.position(path), document.position((*path, key))
    in_braces = here.line == inside.line and here.column != inside.column
    pair = f"{key}: {text}" if text else f"{key}" if in_braces else f"{key}:"
    return f"{{{pair}}}" if in_braces else pair
