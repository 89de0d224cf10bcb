"""The connector `db:duckdb`: a DuckDB file or a database in memory, through DuckDB's own module."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, ClassVar, Self

import msgspec

from aetherflow import CheckResult, ConfigError, MissingExtra, Resource, StopSwitch, connector, run_blocking
from aetherflow_db.connection import Loan, SqlConnector
from aetherflow_db.driver import Driver
from aetherflow_db.duckdb_driver import duckdb_driver
from aetherflow_db.failures import connection_failed, first_line
from aetherflow_db.options import as_list, pragma_statements
from aetherflow_db.sqlite_file import MEMORY, absolute_database, file_checks, make_folder

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

URL_PREFIX = "duckdb:///"


class DuckDbConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is; without a file it is in memory, for the time of the run.

    Attributes:
        path: a file, relative to the file that has this key, or `:memory:`.
        database: another name of `path`.
        url: `duckdb:///FILE`, as SQLAlchemy spells it.
        read_only: whether DuckDB refuses to write; several processes may read a file at once.
    """

    path: str | None = None
    database: str | None = None
    url: str | None = None
    read_only: bool = False


class DuckDbOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the database is used.

    Attributes:
        extensions: names of extensions, which are loaded, and installed if they are not there; one that
            cannot be loaded is a warning.
        pragmas: settings, such as {threads: 4, memory_limit: 1GB}.
        schema: the schema of names without a schema.
        read_only: the same as `config.read_only`.
        init_sql: one statement or several, which each connection begins with.
        connect_args: further arguments of `duckdb.connect`.
    """

    extensions: list[str] | None = None
    pragmas: dict[str, str | int | float | bool] | None = None
    schema: str | None = None
    read_only: bool | None = None
    init_sql: str | list[str] | None = None
    connect_args: dict[str, Any] | None = None


@connector("db:duckdb")
class DuckDbConnector(SqlConnector):
    """A DuckDB database; every query has a connection of its own to the one database of the run."""

    config_type: ClassVar[type[DuckDbConfig]] = DuckDbConfig
    options_type: ClassVar[type[DuckDbOptions]] = DuckDbOptions
    packages: ClassVar[tuple[str, ...]] = ("duckdb",)

    def __init__(self, resource: Resource, database: str, options: DuckDbOptions, *, read_only: bool) -> None:
        """Take the resource, the file and the options; duckdb must be installed."""
        super().__init__(resource, place=f"the DuckDB database {database}", dialect="duckdb")
        self.database = database
        self._options = options
        self._read_only = read_only
        self._root: DuckDBPyConnection | None = None
        self._opening = threading.Lock()
        self._module = duckdb_driver()

    @classmethod
    def absolute_paths(cls, config: dict[str, Any], absolute: Callable[[str, str], str]) -> dict[str, Any]:
        """Return the config with an absolute file."""
        return {key: absolute_database(key, value, absolute) for key, value in config.items()}

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the settings; the first query opens the database.

        Raises:
            ConfigError: a setting is unknown or of the wrong type.
            MissingExtra: duckdb is not installed.
        """
        config = resource.config_as(DuckDbConfig)
        options = resource.options_as(DuckDbOptions)
        pragma_statements(options.pragmas or {})
        await run_blocking(_import_duckdb, resource)
        read_only = config.read_only or bool(options.read_only)
        return cls(resource, _database(resource, config), options, read_only=read_only)

    async def check(self) -> list[CheckResult]:
        """Count the tables, and check the rights of the file and its free space.

        Raises:
            StepError: the file cannot be opened, or is no database of DuckDB.
        """
        return await run_blocking(self._check)

    def _check(self) -> list[CheckResult]:
        found = file_checks(self.database)
        if any(one.subject == "file" for one in found):
            return found  # connecting would make it
        _, [[count]] = self.read("SELECT count(*) FROM information_schema.tables")
        return [CheckResult("read", "ok", f"{count} tables and views can be seen"), *found]

    async def aclose(self) -> None:
        """Close the database."""
        if self._root is not None:
            await run_blocking(self._root.close)

    @property
    def module(self) -> Driver:
        """DuckDB's module."""
        return self._module

    def lend(self, switch: StopSwitch) -> Loan:  # noqa: ARG002 - nothing here takes long
        """Lend a new connection to the database of the run.

        Raises:
            StepError: the database cannot be opened.
        """
        connection = self.connect()
        return Loan(connection, connection.interrupt, connection.close, connection.close)

    def connect(self) -> DuckDBPyConnection:
        """Return a connection as DuckDB makes it.

        Raises:
            StepError: the database cannot be opened.
        """
        errors: tuple[type[Exception], ...] = (*self._module.errors, TypeError)  # an unknown argument
        try:
            with self._opening:
                self._root = self._root or self._opened()
            connection = self._root.cursor()
            with ExitStack() as stack:
                stack.callback(connection.close)
                if self._options.schema:
                    quoted = self._options.schema.replace("'", "''")
                    connection.execute(f"SET schema = '{quoted}'")
                for statement in as_list(self._options.init_sql):
                    self.run_first(connection, statement)
                stack.pop_all()
        except errors as error:
            raise connection_failed(self.name, self.place, error) from error
        return connection

    def _opened(self) -> DuckDBPyConnection:
        import duckdb  # noqa: PLC0415 - an optional dependency, and slow to import

        if not self._read_only:
            make_folder(self.name, self.database)
        more = self._options.connect_args or {}
        root = duckdb.connect(self.database, read_only=self._read_only, **more)
        try:
            for extension in self._options.extensions or []:
                self._load(root, extension)
            for statement in pragma_statements(self._options.pragmas or {}):
                self.run_first(root, statement.replace("PRAGMA", "SET", 1))
        except BaseException:
            root.close()
            raise
        return root

    def _load(self, root: DuckDBPyConnection, extension: str) -> None:
        try:
            try:
                root.load_extension(extension)
            except self._module.errors:
                root.install_extension(extension)
                root.load_extension(extension)
        except self._module.errors as error:
            said = first_line(error)
            warnings.warn(
                f"resource {self.name!r}: the extension {extension} cannot be loaded: {said}", stacklevel=2
            )


def _import_duckdb(resource: Resource) -> None:
    try:
        import duckdb  # noqa: F401, PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"resource {resource.name!r} (db:duckdb) needs duckdb, which is not installed",
            hint="pip install 'aetherflow[duckdb]'",
        ) from error


def _database(resource: Resource, config: DuckDbConfig) -> str:
    given = [value for value in (config.path, config.database, config.url) if value]
    if len(given) > 1 or (config.url and not config.url.startswith(URL_PREFIX)):
        raise ConfigError(
            f"resource {resource.name!r} (db:duckdb) takes one of config.path, "
            "config.database and config.url",
            hint="write path: data/file.duckdb, or url: duckdb:///data/file.duckdb",
            code="AF935",
        )
    return (given[0].removeprefix(URL_PREFIX) if given else "") or MEMORY
