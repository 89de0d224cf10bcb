"""The connector `db:sqlalchemy`: any database that SQLAlchemy has a synchronous driver for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, Self

from aetherflow import CheckResult, Resource, StepError, StopSwitch, connector, run_blocking
from aetherflow.data_files import untyped
from aetherflow_db.connection import SqlConnector
from aetherflow_db.failures import connection_failed, no_rows, statement_failed
from aetherflow_db.query import Query, Rows
from aetherflow_db.sqlalchemy_engine import SqlAlchemyConfig, SqlAlchemyOptions, make_engine, place
from aetherflow_db.sqlite_file import absolute_database, file_checks, make_folder

if TYPE_CHECKING:
    from sqlalchemy import Connection, CursorResult, Engine

INTERRUPTERS = ("interrupt", "cancel_safe", "cancel")
"""The names of the method in sqlite3 and duckdb, psycopg 3, psycopg2 and oracledb."""


@connector("db:sqlalchemy")
class SqlAlchemyConnector(SqlConnector):
    """Reads through a pool of connections; a query that finds it empty waits its turn."""

    config_type: ClassVar[type[SqlAlchemyConfig]] = SqlAlchemyConfig
    options_type: ClassVar[type[SqlAlchemyOptions]] = SqlAlchemyOptions
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy",)

    def __init__(self, name: str, engine: Engine, options: SqlAlchemyOptions) -> None:
        """Remember the resource's name, and the engine with its options."""
        super().__init__(name, most_connections=options.most_connections)
        self._engine = engine

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the config with the URL of a SQLite or DuckDB file made absolute."""
        return {key: absolute_database(key, value, absolute) for key, value in config.items()}

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Create the engine; it connects at the first query, which reports connection errors.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: SQLAlchemy is not installed.
            StepError: the URL cannot be used.
        """
        config = resource.config_as(SqlAlchemyConfig)
        options = resource.options_as(SqlAlchemyOptions).flat()
        engine = await run_blocking(make_engine, resource.name, config, options)
        return cls(resource.name, engine, options)

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
        with self._connect() as connection:
            try:
                connection.execute(sqlalchemy.select(sqlalchemy.literal(1))).all()
                found = sqlalchemy.inspect(connection)
                count = len(found.get_table_names()) + len(found.get_view_names())
            except sqlalchemy.exc.SQLAlchemyError as error:
                connection.invalidate()
                raise connection_failed(self.name, place(url), getattr(error, "orig", error)) from error
        return [
            CheckResult("login", "ok", f"connected to {place(url)}"),
            CheckResult("read", "ok", f"{count} tables and views can be seen"),
            *checks,
        ]

    async def aclose(self) -> None:
        """Close the pooled connections."""
        await run_blocking(self._engine.dispose)

    @contextmanager
    def rows(self, query: Query, fetch_size: int, switch: StopSwitch) -> Iterator[Rows]:
        """Run a query on a connection of the pool, in a transaction that is rolled back.

        After any failure the connection is thrown away: an interrupt that arrives late must not hit the next
        query, and some drivers would read the rest of a large result before they give the connection back.

        Raises:
            StepError: the database cannot be reached, or the statement fails, writes or returns no rows.
        """
        from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415 - an optional dependency, and slow to import

        with self._connect() as connection:
            try:
                with switch.armed(_interrupter(connection)), _read_only(connection):
                    result = self._execute(connection, query, fetch_size)
                    # The size is not optional: without it, a text() result is loaded whole.
                    yield Rows(untyped(list(result.keys())), result.partitions(fetch_size))
            except SQLAlchemyError as error:
                connection.invalidate()
                raise self._failure(query, error) from error
            except BaseException:
                connection.invalidate()
                raise

    def _connect(self) -> Connection:
        url = self._engine.url
        if url.get_backend_name() == "sqlite":
            make_folder(self.name, url.database or "")
        try:
            return self._engine.connect()
        except Exception as error:  # drivers raise what they like here, a TypeError for connect_args among it
            raise connection_failed(self.name, place(url), getattr(error, "orig", error)) from error

    def _execute(
        self, connection: Connection, query: Query, fetch_size: int
    ) -> CursorResult[tuple[object, ...]]:
        from sqlalchemy import text  # noqa: PLC0415 - an optional dependency, and slow to import

        if isinstance(query.params, list):
            raise StepError(
                f"resource {self.name!r} (db:sqlalchemy) takes named parameters, not a list",
                hint="write :name in the statement and params: {name: value}",
                code="AF740",
            )
        streaming = connection.execution_options(stream_results=True, max_row_buffer=fetch_size)
        try:
            result = streaming.execute(text(query.sql), query.params or {})
        except (OverflowError, TypeError, ValueError) as error:  # a parameter that the driver cannot send
            raise statement_failed(self.name, query, error) from error
        if not result.returns_rows:
            raise no_rows(self.name, query)
        return result

    def _failure(self, query: Query, error: Exception) -> StepError:
        cause = getattr(error, "orig", None) or error
        if getattr(error, "connection_invalidated", False):
            return connection_failed(self.name, place(self._engine.url), cause)
        return statement_failed(self.name, query, cause)


def _interrupter(connection: Connection) -> Callable[[], object] | None:
    """Return what interrupts the statement that runs on the connection, if its driver can."""
    driver = connection.connection.driver_connection
    found = (getattr(driver, name, None) for name in INTERRUPTERS)
    return next((method for method in found if callable(method)), None)


@contextmanager
def _read_only(connection: Connection) -> Iterator[None]:
    """Let SQLite refuse to write: a statement that would be rolled back fails instead of seeming to work."""
    if connection.dialect.name != "sqlite":
        yield
        return
    connection.exec_driver_sql("PRAGMA query_only = ON")
    yield
    # Not after a failure: the connection is thrown away then.
    connection.exec_driver_sql("PRAGMA query_only = OFF")
