"""The connector `db:sqlite3`: a SQLite file through Python's own module; nothing else to install."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import CheckResult, ConfigError, Duration, Resource, StopSwitch, connector, run_blocking
from aetherflow_db.connection import Loan, SqlConnector
from aetherflow_db.driver import Driver, SessionMode
from aetherflow_db.failures import connection_failed, first_statement_failed
from aetherflow_db.options import as_list, pragma_statements
from aetherflow_db.sqlite_file import MEMORY, URI_PREFIX, absolute_database, file_checks, make_folder
from aetherflow_db.sqlite_session import begin_sqlite, end_sqlite

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
        timeout: the same, as other drivers call it.
        read_only: whether SQLite refuses to write.
        pragmas: settings for `PRAGMA name = value`, which each connection begins with.
        init_sql: one statement or several, which each connection begins with.
        connect_args: further arguments of `sqlite3.connect`.
    """

    timeout_seconds: Annotated[Duration, Meta(ge=0)] = 5.0
    timeout: Annotated[Duration, Meta(ge=0)] | None = None
    read_only: bool | None = None
    pragmas: dict[str, str | int | float | bool] | None = None
    init_sql: str | list[str] | None = None
    connect_args: dict[str, Any] | None = None

    @property
    def first_statements(self) -> list[str]:
        """The pragmas and the statements of `init_sql`."""
        return [*pragma_statements(self.pragmas or {}), *as_list(self.init_sql)]


@connector("db:sqlite3")
class Sqlite3Connector(SqlConnector):
    """Reads a SQLite file; every query has its own connection, so queries never wait for each other."""

    config_type: ClassVar[type[Sqlite3Config]] = Sqlite3Config
    options_type: ClassVar[type[Sqlite3Options]] = Sqlite3Options

    def __init__(self, resource: Resource, database: str, options: Sqlite3Options) -> None:
        """Take the resource, the file and the options."""
        in_memory = database in {"", MEMORY}
        super().__init__(
            resource,
            place=f"the SQLite file {database}",
            dialect="sqlite",
            most_connections=1 if in_memory else math.inf,
        )
        self.database = database
        self._options = options
        self._memory: sqlite3.Connection | None = None
        self._in_memory = in_memory

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
        return cls(resource, database, options)

    async def check(self) -> list[CheckResult]:
        """Check whether the file is a database that can be read and written, and its free space.

        Raises:
            StepError: the file cannot be opened, or is not a database.
        """
        return await run_blocking(self._check)

    def _check(self) -> list[CheckResult]:
        checks = file_checks(self.database)
        if any(check.subject == "file" for check in checks):
            return checks  # connecting would make it
        with closing(self._connect()) as connection:
            try:
                names = connection.execute(
                    "SELECT count(*) FROM sqlite_master WHERE type IN ('table', 'view')"
                )
                count = names.fetchone()[0]
            except sqlite3.Error as error:
                raise connection_failed(self.name, self.place, error) from error
        return [CheckResult("read", "ok", f"{count} tables and views can be seen"), *checks]

    async def aclose(self) -> None:
        """Close a database in memory; nothing else stays open between queries."""
        if self._memory is not None:
            await run_blocking(self._memory.close)

    @property
    def module(self) -> Driver:
        """Python's sqlite3."""
        return Driver(
            module="sqlite3",
            errors=(sqlite3.Error, sqlite3.Warning),  # Warning: several statements, before Python 3.12
            cause=lambda _error, _connection: "other",  # its errors have codes, which `failures` knows
            begin=self._begin,
            end=end_sqlite,
            locks_while_open=True,
            file=self._plain_file(),
        )

    def lend(self, switch: StopSwitch) -> Loan:  # noqa: ARG002 - nothing here takes long
        """Open the file; a database in memory is open until the run ends.

        Raises:
            StepError: the file cannot be opened.
        """
        if not self._in_memory:
            connection = self._connect()
            return Loan(connection, connection.interrupt, connection.close, connection.close)
        connection = self._memory = self._memory or self._connect()
        return Loan(connection, connection.interrupt, lambda: None, connection.rollback)

    def connect(self) -> sqlite3.Connection:
        """Return a connection as Python's module makes it.

        Raises:
            StepError: the file cannot be opened.
        """
        return self._connect()

    def _begin(self, connection: sqlite3.Connection, mode: SessionMode) -> None:
        begin_sqlite(connection, "read" if self._options.read_only else mode)

    def _plain_file(self) -> str | None:
        options = self._options
        is_special = options.first_statements or options.connect_args or self.database.startswith(URI_PREFIX)
        return None if self._in_memory or is_special else self.database

    def _connect(self) -> sqlite3.Connection:
        make_folder(self.name, self.database, read_only=bool(self._options.read_only))
        options = self._options
        wait = options.timeout_seconds if options.timeout is None else options.timeout
        try:
            connection: sqlite3.Connection = sqlite3.connect(
                self.database,
                timeout=wait,
                check_same_thread=not self._in_memory,
                uri=self.database.startswith(URI_PREFIX),
                **(options.connect_args or {}),
            )
        except (sqlite3.Error, TypeError) as error:  # TypeError: an unknown argument
            raise connection_failed(self.name, self.place, error) from error
        try:
            for statement in options.first_statements:
                connection.execute(statement)
            connection.commit()
        except (sqlite3.Error, sqlite3.Warning) as error:
            connection.close()
            raise first_statement_failed(self.name, statement, error) from error
        return connection


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
