"""The connector `db:sqlalchemy`: any database that SQLAlchemy has a synchronous driver for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, closing
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self, cast

import msgspec
from msgspec import Meta

from aetherflow import CheckResult, Resource, StepError, StopSwitch, connector, run_blocking
from aetherflow_db.bound_statement import ParamStyle
from aetherflow_db.connection import Loan, SqlConnector
from aetherflow_db.driver import Cause, Driver, SessionMode
from aetherflow_db.failures import connection_failed, connection_lost
from aetherflow_db.interruption import CANCEL_SECONDS, Interrupter
from aetherflow_db.options import PooledOptions
from aetherflow_db.server_sql import cause_of
from aetherflow_db.sqlalchemy_engine import (
    connect_args,
    connect_beside,
    import_sqlalchemy,
    in_memory,
    make_engine,
    place,
    read_url,
    server_driver,
    server_sql,
)
from aetherflow_db.sqlite_file import absolute_database, file_checks, make_folder
from aetherflow_db.sqlite_session import begin_sqlite, end_sqlite
from aetherflow_db.streaming_cursors import plain_cursor

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine


class Address(msgspec.Struct, frozen=True):
    """Where a database is, for its driver.

    Attributes:
        url: the URL; a `sqlalchemy.URL`, or its text.
        connect_args: arguments of the driver's connect function that no URL has.
        place: the database in words, where the URL does not say it.
    """

    url: Any
    connect_args: Mapping[str, Any] = {}
    place: str = ""


class SqlAlchemyConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is.

    Attributes:
        url: for example `postgresql+psycopg://user:password@host/database`.
    """

    url: Annotated[str, Meta(min_length=1)]


@connector("db:sqlalchemy")
class SqlAlchemyConnector(SqlConnector):
    """Any database that SQLAlchemy has a driver for; a query that finds the pool empty waits its turn."""

    config_type: ClassVar[type[Any]] = SqlAlchemyConfig
    options_type: ClassVar[type[PooledOptions]] = PooledOptions
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy",)
    extra: ClassVar[str] = "db"

    def __init__(self, resource: Resource, engine: Engine, options: PooledOptions, address: Address) -> None:
        """Remember the resource, and the engine with its options."""
        super().__init__(
            resource,
            place=address.place or place(engine.url),
            dialect=engine.dialect.name,
            most_connections=1 if in_memory(engine.url) else options.most_connections,
        )
        self._engine = engine
        self._connect_args = connect_args(resource.name, engine.url, options, address.connect_args)
        self._module = _driver(engine, options)
        self._pings = options.pool_pre_ping
        self._read_only = bool(options.read_only)

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the config with the URL of a SQLite or DuckDB file made absolute."""
        if not config.get("url"):
            return config
        return {**config, "url": absolute_database("url", config["url"], absolute)}

    @classmethod
    def address(cls, resource: Resource) -> Address:
        """Return where the database is. Called in a worker thread, when SQLAlchemy is imported.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            StepError: the URL cannot be used.
        """
        return Address(read_url(resource.name, resource.config_as(SqlAlchemyConfig).url))

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Create the engine; it connects at the first query, which reports connection errors.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: SQLAlchemy is not installed.
            StepError: the URL cannot be used.
        """
        resource.config_as(cls.config_type)
        options = resource.options_as(cls.options_type).flat()

        return await run_blocking(cls._made, resource, options)

    @classmethod
    def _made(cls, resource: Resource, options: PooledOptions) -> Self:
        import_sqlalchemy(resource, cls.extra)
        address = cls.address(resource)
        engine = make_engine(resource.name, address.url, options, address.connect_args)
        return cls(resource, engine, options, address)

    @property
    def module(self) -> Driver:
        """The driver module, with what is peculiar to it."""
        return self._module

    @property
    def url(self) -> URL:
        """Where the database is, with user and password."""
        return self._engine.url

    def engine(self) -> Engine:
        """Return SQLAlchemy's engine, whose pool the queries of the run share."""
        return self._engine

    def connect(self) -> AbstractContextManager[Connection]:
        """Return a block with a connection of SQLAlchemy, in a transaction that its end commits."""
        return self._engine.begin()

    async def check(self) -> list[CheckResult]:
        """Log in, read a row and count the tables; of a SQLite file also check its rights and free space.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """
        return await run_blocking(self._check)

    def _check(self) -> list[CheckResult]:
        import sqlalchemy  # noqa: PLC0415 - an optional dependency, and slow to import

        url = self._engine.url
        checks = file_checks(url.database or "") if url.get_backend_name() == "sqlite" else []
        if any(check.subject == "file" for check in checks):
            return checks  # connecting would make it
        try:
            with self._engine.connect() as connection:
                connection.execute(sqlalchemy.select(sqlalchemy.literal(1))).all()
                found = sqlalchemy.inspect(connection)
                count = len(found.get_table_names()) + len(found.get_view_names())
        except StepError:  # one of its first statements is refused
            raise
        except Exception as error:  # drivers raise what they like here
            raise connection_failed(self.name, self.place, getattr(error, "orig", None) or error) from error
        return [
            CheckResult("login", "ok", f"connected to {self.place}"),
            CheckResult("read", "ok", f"{count} tables and views can be seen"),
            *checks,
        ]

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await run_blocking(self._engine.dispose)

    def lend(self, switch: StopSwitch) -> Loan:
        """Lend a connection of the pool; one that was used before is tested first.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """
        if self.dialect == "sqlite":
            make_folder(self.name, self._engine.url.database or "", read_only=self._read_only)
        while True:
            try:
                lent = self._engine.raw_connection()
            except StepError:  # one of its first statements is refused
                raise
            except Exception as error:  # drivers raise what they like, a TypeError for connect_args among it
                cause = getattr(error, "orig", None) or error
                raise connection_failed(self.name, self.place, cause) from error
            raw = lent.driver_connection
            interrupt = self._interrupt(raw, lent.info.get("id"))
            if self._answers(raw, lent.info, switch, interrupt):
                break
            lent.invalidate()

        def discard() -> None:
            server_driver(self._engine).forget(raw)
            lent.invalidate()

        # A database in memory is lost with its connection.
        return Loan(raw, interrupt, lent.close, lent.close if in_memory(self._engine.url) else discard)

    def _answers(
        self, raw: Any, info: dict[Any, Any], switch: StopSwitch, interrupt: Callable[[], object] | None
    ) -> bool:
        """Return whether a connection still works; a new one is not tested. The switch ends a test, too."""
        is_used = info.setdefault("is_used", False)
        info["is_used"] = True
        if not is_used or not self._pings:
            return True
        try:
            with switch.armed(interrupt):
                return bool(self._engine.dialect.do_ping(raw))
        except self._module.errors as error:
            if isinstance(interrupt, Interrupter) and interrupt.is_called:
                raise connection_lost(self.name, self.place, error) from error
            return False

    def _interrupt(self, raw: Any, number: object) -> Callable[[], object] | None:
        """Return what ends the statement that runs on a connection, if there is a way."""
        driver, sql = server_driver(self._engine), server_sql(self._engine)
        cancel = driver.cancel
        if cancel is not None:
            return Interrupter(raw, lambda: cancel(raw))
        if sql.kill and number is not None:
            return Interrupter(raw, lambda: self._kill(sql.kill.format(number)))
        found = getattr(raw, "interrupt", None) or getattr(raw, "cancel", None)
        return found if callable(found) else None

    def _kill(self, statement: str) -> None:
        with closing(connect_beside(self._engine, self._connect_args, CANCEL_SECONDS)) as beside:
            beside.cursor().execute(statement)


def _is_plain_file(engine: Engine, options: PooledOptions) -> bool:
    is_special = options.first_statements or options.connect_args or options.schema or engine.url.query
    return engine.dialect.driver == "pysqlite" and not is_special and not in_memory(engine.url)


def _driver(engine: Engine, options: PooledOptions) -> Driver:
    dialect, module = engine.dialect, server_driver(engine)
    dbapi: Any = dialect.loaded_dbapi
    cursor, least = module.cursor or plain_cursor, options.arraysize or 1

    def cause(error: Exception, raw: Any) -> Cause:
        if isinstance(error, dbapi.Error) and dialect.is_disconnect(error, raw, None):
            return "lost"
        return cause_of(dialect.name, error)

    def begin(raw: Any, mode: SessionMode) -> None:
        if mode == "autocommit":
            dialect.set_isolation_level(raw, "AUTOCOMMIT")

    def end(raw: Any, mode: SessionMode) -> None:
        if mode == "autocommit":
            dialect.reset_isolation_level(raw)

    def begin_file(raw: Any, mode: SessionMode) -> None:
        begin_sqlite(raw, "read" if options.read_only else mode)

    is_sqlite = dialect.name == "sqlite"
    return Driver(
        module=dialect.driver,
        errors=(dbapi.Error, dbapi.Warning),
        cause=cause,
        paramstyle=cast("ParamStyle", dialect.paramstyle),
        cursor=lambda raw, size: cursor(raw, max(size, least)),
        begin=begin_file if is_sqlite else begin,
        end=end_sqlite if is_sqlite else end,
        read_only=server_sql(engine).read_only,
        locks_while_open=is_sqlite,
        is_mysql=dialect.name in {"mysql", "mariadb"},
        file=engine.url.database if is_sqlite and _is_plain_file(engine, options) else None,
    )
