"""Create a SQLAlchemy engine from a resource; SQLAlchemy is imported only when it is needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
from msgspec import Meta

from aetherflow import Duration, MissingExtra, StepError

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

DRIVER_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "duckdb": "duckdb-engine",
    "exa": "sqlalchemy-exasol",
    "psycopg": "'psycopg[binary]'",
    "psycopg2": "psycopg2-binary",
    "snowflake": "snowflake-sqlalchemy",
}
"""What to install for a driver module or a dialect, where the package has another name."""


class SqlAlchemyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is.

    Attributes:
        url: for example `postgresql+psycopg://user:password@host/database`.
    """

    url: Annotated[str, Meta(min_length=1)]


class PoolOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The connection pool, as a group of its own; these keys win over the flat ones.

    Attributes:
        size: instead of `pool_size`.
        max_overflow: instead of `max_overflow`.
        recycle_seconds: instead of `pool_recycle`.
        pre_ping: instead of `pool_pre_ping`.
    """

    size: int | None = None
    max_overflow: int | None = None
    recycle_seconds: Annotated[Duration, Meta(ge=-1)] | None = None
    pre_ping: bool | None = None


class SqlAlchemyOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of `create_engine`.

    Attributes:
        connect_args: passed to the driver's connect function as they are.
        pool_size: how many connections stay open; 0 is no limit.
        max_overflow: further connections at busy times; -1 is no limit.
        pool_recycle: seconds after which a connection is replaced; -1: never.
        pool_pre_ping: test a connection before it is used again.
        pool: the same in another spelling: {size, max_overflow, recycle_seconds, pre_ping}.
    """

    connect_args: dict[str, Any] = {}
    pool_size: Annotated[int, Meta(ge=0)] = 5
    max_overflow: Annotated[int, Meta(ge=-1)] = 10
    pool_recycle: Annotated[Duration, Meta(ge=-1)] = 1800
    pool_pre_ping: bool = True
    pool: PoolOptions | None = None

    def flat(self) -> SqlAlchemyOptions:
        """Return the options with the `pool` group written into the flat keys."""
        pool = self.pool or PoolOptions()
        given = {
            "pool_size": pool.size,
            "max_overflow": pool.max_overflow,
            "pool_recycle": pool.recycle_seconds,
            "pool_pre_ping": pool.pre_ping,
        }
        known = {key: value for key, value in given.items() if value is not None}
        return msgspec.structs.replace(self, pool=None, **known)

    @property
    def most_connections(self) -> float:
        """The most connections that the pool opens at the same time."""
        if self.pool_size == 0 or self.max_overflow < 0:
            return math.inf
        return self.pool_size + self.max_overflow


def make_engine(resource: str, config: SqlAlchemyConfig, options: SqlAlchemyOptions) -> Engine:
    """Return an engine; nothing is connected yet. Slow (it imports), so called in a worker thread.

    Raises:
        MissingExtra: SQLAlchemy is not installed.
        StepError: the URL cannot be used: its form, its dialect, its driver.
    """
    try:
        import sqlalchemy  # noqa: PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"resource {resource!r} (db:sqlalchemy) needs SQLAlchemy, which is not installed",
            hint="pip install 'aetherflow[db]'",
        ) from error
    url = _url(resource, config.url)
    try:
        arguments = _pool_arguments(url, options)
        engine = sqlalchemy.create_engine(
            url,
            connect_args=options.connect_args,
            pool_recycle=options.pool_recycle,
            pool_pre_ping=options.pool_pre_ping,
            **arguments,
        )
    except sqlalchemy.exc.NoSuchModuleError as error:
        raise _no_dialect(resource, url) from error
    except ImportError as error:
        raise _no_driver(resource, url, error) from error
    if engine.dialect.is_async:
        raise StepError(
            f"resource {resource!r}: {url.drivername} is an asynchronous driver, which cannot be used here",
            hint=f"name another driver: {url.get_backend_name()}+DRIVER://...",
            code="AF745",
        )
    return engine


def place(url: URL) -> str:
    """Return where a URL leads, for messages: dialect, host and database; never user or password."""
    host = f" on {url.host}" if url.host else ""
    port = f":{url.port}" if url.host and url.port else ""
    return f"the {url.get_backend_name()} database {url.database or '(default)'}{host}{port}"


def _url(resource: str, text: str) -> URL:
    import sqlalchemy  # noqa: PLC0415 - see make_engine

    try:
        return sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        # Without its cause: what SQLAlchemy or int() quote may be a part of the password.
        raise StepError(
            f"resource {resource!r}: config.url is no database URL",
            hint="write dialect://user:password@host:port/database; in a password write %40 for @, %2F for /",
            code="AF745",
        ) from None


def _pool_arguments(url: URL, options: SqlAlchemyOptions) -> dict[str, Any]:
    """Return the sizes, for the pools that have them; the pool of `:memory:` databases has none."""
    import sqlalchemy  # noqa: PLC0415 - see make_engine

    dialect = url.get_dialect()
    pool_class = dialect.get_pool_class(url)  # type: ignore[attr-defined]  # every dialect has it by DefaultDialect
    if not issubclass(pool_class, sqlalchemy.pool.QueuePool):
        return {}
    return {"pool_size": options.pool_size, "max_overflow": options.max_overflow}


def _no_dialect(resource: str, url: URL) -> StepError:
    name = url.get_backend_name()
    if name == "postgres":
        hint = "write postgresql:// instead of postgres://"
    elif name in DRIVER_PACKAGES:
        hint = f"pip install {DRIVER_PACKAGES[name]}"
    else:
        hint = "check the spelling, or install the package that brings this dialect to SQLAlchemy"
    message = f"resource {resource!r}: SQLAlchemy knows no database {url.drivername!r}"
    return StepError(
        message, hint=hint, code="AF745", detail={"resource": resource, "driver": url.drivername}
    )


def _no_driver(resource: str, url: URL, error: ImportError) -> StepError:
    module = (error.name or url.get_driver_name()).partition(".")[0]
    return StepError(
        f"resource {resource!r}: the driver {module} of {url.drivername} cannot be imported: {error}",
        hint=f"pip install {DRIVER_PACKAGES.get(module, module)}",
        code="AF745",
        detail={"resource": resource, "driver": module},
    )
