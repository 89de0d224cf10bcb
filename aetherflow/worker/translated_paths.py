"""Translate the paths in inputs and results: what the engine calls a folder has another path on a worker."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import msgspec


class TranslatedPaths:
    """The folders that have another path here.

    Args:
        folders: the paths of this worker, by those of the engine. They are random texts.
        made: the same of folders that only the attempt writes to, so that nothing of the engine's is in them.
    """

    def __init__(self, folders: Mapping[str, Path], made: Mapping[str, Path]) -> None:
        by_length = sorted(((path.rstrip("/"), str(here)) for path, here in folders.items()), reverse=True)
        self._here = {path: here for path, here in by_length if path}
        self._there = {
            str(here): path.rstrip("/") for path, here in (*folders.items(), *made.items()) if path
        }
        either = "|".join(map(re.escape, sorted(self._here, key=len, reverse=True)))
        # A whole path, or the beginning of one: not /data in /big/data or in /data.old.
        self._found = (
            re.compile(rf"(?:(?<![\w./~-])|(?<=file://))(?:{either})(?![\w.~-])") if either else None
        )

    def here(self, value: Any) -> Any:
        """Return a JSON value of the engine with the paths of this worker."""
        found = self._found
        return value if found is None else _changed(value, lambda text: found.sub(self._path, text))

    def there(self, value: Any) -> Any:
        """Return a JSON value, or a Struct of such, of this worker with the paths of the engine."""
        return _changed(value, self.text_there)

    def text_there(self, text: str) -> str:
        """Return a text of this worker with the paths of the engine."""
        for here, path in self._there.items():
            if here in text:
                text = text.replace(here, path)
        return text

    def _path(self, match: re.Match[str]) -> str:
        return self._here[match.group()]


def _changed(value: Any, change: Callable[[str], str]) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {_changed(key, change): _changed(inner, change) for key, inner in value.items()}
        case list() | tuple():
            return type(value)([_changed(inner, change) for inner in value])
        case msgspec.Struct():
            fields = {name: _changed(getattr(value, name), change) for name in value.__struct_fields__}
            return msgspec.structs.replace(value, **fields)
        case _:
            return value
