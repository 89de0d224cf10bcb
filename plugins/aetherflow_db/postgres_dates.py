"""Read as text what Python has no date or time for: infinity, 0044-03-15 BC, 24:00 of PostgreSQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, time
from functools import cache
from typing import Any


def register_far_dates(cursor: Any) -> None:
    """Let a cursor of psycopg 3 return such a value as the text of the server, and not fail.

    A server that writes dates in another way than ISO keeps psycopg's own loaders.
    """
    if (cursor.connection.info.parameter_status("DateStyle") or "").startswith("ISO"):
        for name, loader in _loaders().items():
            cursor.adapters.register_loader(name, loader)


@cache
def _loaders() -> dict[str, type[Any]]:
    from psycopg.adapt import Loader  # noqa: PLC0415 - an optional dependency, and slow to import

    def reading(parse: Callable[[str], Any]) -> type[Any]:
        class TextIfFar(Loader):
            def load(self, data: Any) -> Any:
                text = bytes(data).decode()
                try:
                    return parse(text)
                except ValueError:
                    return text

        return TextIfFar

    moment = reading(datetime.fromisoformat)
    return {
        "date": reading(date.fromisoformat),
        "time": reading(time.fromisoformat),
        "timestamp": moment,
        "timestamptz": moment,
    }
