"""The options that database connectors share, and the statements that set up a new connection."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import ConfigError, Duration

_PRAGMA = re.compile(r"[A-Za-z_][\w.]*")
_NUMBER = re.compile(r"-?\d+(\.\d+)?")


def as_list(statements: str | list[str] | None) -> list[str]:
    """Return the statements of `init_sql`, which may be one text."""
    return [statements] if isinstance(statements, str) else statements or []


def pragma_statements(pragmas: Mapping[str, str | int | float | bool]) -> list[str]:
    """Return the statement for each pragma; its value is a word, a number or a quoted text.

    Raises:
        ConfigError: a name is none.
    """
    found = []
    for name, value in pragmas.items():
        if not _PRAGMA.fullmatch(name):
            raise ConfigError(
                f"options.pragmas: {name!r} is no name of a pragma",
                hint="write for example: pragmas: {journal_mode: WAL}",
                code="AF937",
            )
        text = str(value).lower() if isinstance(value, bool) else str(value)
        escaped = (
            text
            if _PRAGMA.fullmatch(text) or _NUMBER.fullmatch(text)
            else "'" + text.replace("'", "''") + "'"
        )
        found.append(f"PRAGMA {name} = {escaped}")
    return found


class PoolOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection pool, as a group of its own; these keys win over the flat ones.

    Attributes:
        enabled: false: each statement has a new connection.
        size: instead of `pool_size`.
        max_overflow: instead of `max_overflow`.
        recycle_seconds: instead of `pool_recycle`.
        pre_ping: instead of `pool_pre_ping`.
    """

    enabled: bool | None = None
    size: Annotated[int, Meta(ge=0)] | None = None
    max_overflow: Annotated[int, Meta(ge=-1)] | None = None
    recycle_seconds: Annotated[Duration, Meta(ge=-1)] | None = None
    pre_ping: bool | None = None


class SessionOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How connections are opened and used.

    Attributes:
        timeout: how long connecting may take.
        schema: the schema of names without a schema.
        read_only: whether the database refuses to write.
        init_sql: one statement or several, which each new connection begins with.
        arraysize: how many rows a round trip to the server fetches at least.
    """

    timeout: Annotated[Duration, Meta(gt=0)] | None = None
    schema: str | None = None
    read_only: bool | None = None
    init_sql: str | list[str] | None = None
    arraysize: Annotated[int, Meta(ge=1)] | None = None

    @property
    def first_statements(self) -> list[str]:
        """The statements of `init_sql`."""
        return as_list(self.init_sql)


class PooledOptions(SessionOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The options of a connector with a pool of connections.

    Attributes:
        connect_args: passed to the driver's connect function as they are.
        pool_size: how many connections stay open; 0 is no limit.
        max_overflow: further connections at busy times; -1 is no limit.
        pool_recycle: seconds after which a connection is replaced; -1: never.
        pool_pre_ping: test a connection before it is used again.
        pool_enabled: false: each statement has a new connection.
        pool: the same in another spelling: {enabled, size, max_overflow, recycle_seconds, pre_ping}.
    """

    connect_args: dict[str, Any] | None = None
    pool_size: Annotated[int, Meta(ge=0)] = 5
    max_overflow: Annotated[int, Meta(ge=-1)] = 10
    pool_recycle: Annotated[Duration, Meta(ge=-1)] = 1800
    pool_pre_ping: bool = True
    pool_enabled: bool = True
    pool: PoolOptions | None = None

    def flat(self) -> PooledOptions:
        """Return the options with the `pool` group written into the flat keys."""
        pool = self.pool or PoolOptions()
        given = {
            "pool_size": pool.size,
            "max_overflow": pool.max_overflow,
            "pool_recycle": pool.recycle_seconds,
            "pool_pre_ping": pool.pre_ping,
            "pool_enabled": pool.enabled,
        }
        known = {key: value for key, value in given.items() if value is not None}
        return msgspec.structs.replace(self, pool=None, **known)

    @property
    def most_connections(self) -> float:
        """The most connections that the pool opens at the same time."""
        if self.pool_size == 0 or self.max_overflow < 0:
            return math.inf
        return self.pool_size + self.max_overflow
