"""The connector `db:sqlite3`: a SQLite file through Python's own module; nothing else to install."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from functools import partial
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import CheckResult, ConfigError, Duration, Resource, StopSwitch, connector, run_blocking
from aetherflow.data_files import untyped
from aetherflow_db.connection import SqlConnector
from aetherflow_db.failures import connection_failed, no_rows, statement_failed
from aetherflow_db.query import Query, Rows
from aetherflow_db.sqlite_file import MEMORY, URI_PREFIX, absolute_database, file_checks, make_folder

URL_PREFIX = "sqlite:///"


class Sqlite3Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is: one of the three.

    Attributes:
        path: a file, relative to the file that has this key, or `:memory:`, or a `file:` URI.
        database: another name of `path`.
        url: `sqlite:///FILE`, as SQLAlchemy spells it.
    """

    path: str | None = None
    database: str | None = None
    url: str | None = None


class Sqlite3Options(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the database is used.

    Attributes:
        timeout_seconds: how long to wait for a locked file.
    """

    timeout_seconds: Annotated[Duration, Meta(ge=0)] = 5.0


@connector("db:sqlite3")
class Sqlite3Connector(SqlConnector):
    """Reads a SQLite file; every query has its own connection, so queries never wait for each other."""

    config_type: ClassVar[type[Sqlite3Config]] = Sqlite3Config
    options_type: ClassVar[type[Sqlite3Options]] = Sqlite3Options

    def __init__(self, name: str, database: str, options: Sqlite3Options) -> None:
        """Take the resource's name, the file and the options."""
        super().__init__(name)
        self._database = database
        self._options = options

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the config with an absolute file."""
        return {key: absolute_database(key, value, absolute) for key, value in config.items()}

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the settings; the file is opened by each query, and the first one makes it and its folder.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
        """
        database = _database(resource.name, resource.config_as(Sqlite3Config))
        options = resource.options_as(Sqlite3Options)
        return cls(resource.name, database, options)

    async def check(self) -> list[CheckResult]:
        """Check whether the file is a database that can be read and written, and its free space.

        Raises:
            StepError: the file cannot be opened, or is not a database.
        """
        return await run_blocking(self._check)

    def _check(self) -> list[CheckResult]:
        checks = file_checks(self._database)
        if any(check.subject == "file" for check in checks):
            return checks  # connecting would make it
        with closing(self._connect()) as connection:
            try:
                names = connection.execute(
                    "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')"
                )
                count = names.fetchone()[0]
            except sqlite3.Error as error:
                raise connection_failed(self.name, f"the SQLite file {self._database}", error) from error
        return [CheckResult("read", "ok", f"{count} tables and views can be seen"), *checks]

    async def aclose(self) -> None:
        """Nothing stays open between queries."""

    @contextmanager
    def rows(self, query: Query, fetch_size: int, switch: StopSwitch) -> Iterator[Rows]:
        """Run a query on its own read-only connection.

        Raises:
            StepError: the file cannot be opened, or the statement fails, writes or returns no rows.
        """
        with closing(self._connect()) as connection, switch.armed(connection.interrupt):
            try:
                # Closed before the connection: SQLite keeps the file locked as long as a statement is open.
                with closing(_execute(connection, query)) as cursor:
                    if cursor.description is None:
                        raise no_rows(self.name, query)
                    columns = untyped([column[0] for column in cursor.description])
                    yield Rows(columns, iter(partial(cursor.fetchmany, fetch_size), []))
            except (
                sqlite3.Error,
                sqlite3.Warning,
            ) as error:  # Warning: several statements, before Python 3.12
                raise statement_failed(self.name, query, error) from error

    def _connect(self) -> sqlite3.Connection:
        make_folder(self.name, self._database)
        try:
            connection = sqlite3.connect(
                self._database,
                timeout=self._options.timeout_seconds,
                isolation_level=None,
                uri=self._database.startswith(URI_PREFIX),
            )
            connection.execute("PRAGMA query_only = ON")
        except sqlite3.Error as error:
            raise connection_failed(self.name, f"the SQLite file {self._database}", error) from error
        return connection


def _execute(connection: sqlite3.Connection, query: Query) -> sqlite3.Cursor:
    try:
        return connection.execute(query.sql, query.params or ())
    except (OverflowError, ValueError) as error:  # a number or text that SQLite cannot hold
        raise sqlite3.DataError(str(error)) from error


def _database(resource: str, config: Sqlite3Config) -> str:
    """Return what `sqlite3.connect` is given.

    Raises:
        ConfigError: none or several of the keys are set, or the URL is not a SQLite URL.
    """
    given = [value for value in (config.path, config.database, config.url) if value]
    if len(given) != 1:
        raise ConfigError(
            f"resource {resource!r} (db:sqlite3) needs one of config.path, config.database and config.url",
            hint="write for example: config: {path: data/file.sqlite}",
        )
    if config.url in {None, "", MEMORY}:
        return given[0]
    database = given[0].removeprefix(URL_PREFIX)
    if not database or database == given[0]:
        raise ConfigError(
            f"resource {resource!r} (db:sqlite3): config.url is no SQLite URL",
            hint="write sqlite:///relative/file.sqlite or sqlite:////absolute/file.sqlite",
        )
    return database
