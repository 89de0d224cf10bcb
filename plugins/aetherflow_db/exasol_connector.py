"""The connector `db:exasol`: a database of Exasol, through pyexasol."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Self

import msgspec
from msgspec import Meta

from aetherflow import CheckResult, ConfigError, MissingExtra, Resource, StopSwitch, connector, run_blocking
from aetherflow_db.connection import Loan, SqlConnector
from aetherflow_db.driver import Cause, Driver, SessionMode
from aetherflow_db.failures import connection_failed
from aetherflow_db.options import PooledOptions
from aetherflow_db.sqlalchemy_engine import unsupported

if TYPE_CHECKING:
    from pyexasol import ExaConnection

PORT = 8563
COLLISION = "40001"
"""What Exasol answers when a transaction was rolled back because of another one."""


class ExasolConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is.

    Attributes:
        dsn: as Exasol spells it, such as `10.0.0.11..14:8563`.
        host: the server, instead of a dsn.
        port: its port.
        user: the account.
        password: its password.
        schema: the schema of names without a schema.
    """

    dsn: str | None = None
    host: str | None = None
    port: Annotated[int, Meta(ge=1, le=65535)] = PORT
    user: str | None = None
    password: str | None = None
    schema: str | None = None


@connector("db:exasol")
class ExasolConnector(SqlConnector):
    """A database of Exasol, through pyexasol; connections that are not used wait for the next query."""

    config_type: ClassVar[type[ExasolConfig]] = ExasolConfig
    options_type: ClassVar[type[PooledOptions]] = PooledOptions
    packages: ClassVar[tuple[str, ...]] = ("pyexasol",)

    def __init__(self, resource: Resource, dsn: str, config: ExasolConfig, options: PooledOptions) -> None:
        """Take the resource, the dsn and the settings; pyexasol must be installed."""
        most = options.most_connections
        super().__init__(resource, place=f"the Exasol database {dsn}", dialect="exa", most_connections=most)
        self._dsn = dsn
        self._config = config
        self._settings = options
        self._idle: deque[ExaConnection] = deque()
        self._module = _driver()

    @classmethod
    async def open(cls, resource: Resource) -> Self:
        """Check the settings; the first query connects.

        Raises:
            ConfigError: a setting is missing, unknown or of the wrong type.
            MissingExtra: pyexasol is not installed.
        """
        config = resource.config_as(ExasolConfig)
        options = resource.options_as(PooledOptions).flat()
        if bool(config.dsn) == bool(config.host):
            raise ConfigError(
                f"resource {resource.name!r} (db:exasol) needs config.dsn or config.host",
                hint="write for example: config: {dsn: 'exasol.example:8563', user: me, password: ...}",
                code="AF935",
            )
        if options.read_only:
            raise unsupported(resource.name, "read_only", "a database of Exasol")
        await run_blocking(_import_pyexasol, resource)
        return cls(resource, config.dsn or f"{config.host}:{config.port}", config, options)

    async def check(self) -> list[CheckResult]:
        """Log in and count the tables.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """
        _, [[count]] = await run_blocking(self.read, "SELECT count(*) FROM exa_all_objects")
        return [
            CheckResult("login", "ok", f"connected to {self.place}"),
            CheckResult("read", "ok", f"{count} tables and other objects can be seen"),
        ]

    async def aclose(self) -> None:
        """Close the connections that wait."""
        while self._idle:
            await run_blocking(_close, self._idle.pop())

    @property
    def module(self) -> Driver:
        """Pyexasol."""
        return self._module

    def lend(self, switch: StopSwitch) -> Loan:  # noqa: ARG002 - connecting has its own time limit
        """Lend a connection that waits, or a new one.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """
        connection = self._taken() or self.connect_raw()
        return Loan(
            connection,
            connection.abort_query,
            lambda: self._give_back(connection),
            lambda: _close(connection),
        )

    def connect_raw(self) -> ExaConnection:
        """Return a new connection of pyexasol, which does not commit by itself.

        Raises:
            StepError: the database cannot be reached, or refuses the login.
        """
        import pyexasol  # noqa: PLC0415 - an optional dependency, and slow to import

        options = self._settings
        given = {"fetch_mapper": pyexasol.exasol_mapper, "verbose_error": False}
        given |= {} if options.timeout is None else {"connection_timeout": options.timeout}
        given |= options.connect_args or {}
        errors: tuple[type[Exception], ...] = (*self._module.errors, OSError, TypeError, ValueError)
        try:
            connection: Any = pyexasol.connect(
                dsn=self._dsn,
                user=self._config.user,
                password=self._config.password,
                schema=self._config.schema or options.schema or "",
                autocommit=False,
                **given,
            )
            with ExitStack() as stack:
                stack.callback(_close, connection)
                for statement in options.first_statements:
                    self.run_first(connection, statement)
                connection.commit()
                stack.pop_all()
        except errors as error:
            raise connection_failed(self.name, self.place, error) from error
        lent: ExaConnection = connection
        return lent

    def connect(self) -> ExaConnection:
        """Return a new connection, as `connect_raw`."""
        return self.connect_raw()

    def _taken(self) -> ExaConnection | None:
        with suppress(IndexError):  # none waits
            while connection := self._idle.pop():
                if not connection.is_closed:
                    return connection
        return None

    def _give_back(self, connection: ExaConnection) -> None:
        if self._settings.pool_enabled and len(self._idle) < (self._settings.pool_size or 1):
            self._idle.append(connection)
        else:
            _close(connection)


class ExasolCursor:
    """A statement of pyexasol as a cursor; its parameters are bound by the server."""

    def __init__(self, connection: ExaConnection, _size: int = 0) -> None:
        self._connection = connection
        self._statement: Any = None
        self.description: Sequence[Sequence[Any]] | None = None
        self.rowcount = -1

    def execute(self, sql: str, params: Sequence[Any] | None = None) -> None:
        """Run a statement; `params` are the values for each `?`."""
        if params:
            statement: Any = self._connection.create_prepared_statement(sql)
            statement.execute_prepared([tuple(_sent(value) for value in params)])
        else:
            statement = self._connection.execute(sql)
        self._statement = statement
        if statement.result_type == "resultSet":
            self.description = list(zip(statement.col_names, statement.col_types, strict=True))
        self.rowcount = statement.rowcount()

    def fetchmany(self, size: int) -> list[Any]:
        """Return the next rows."""
        return list(self._statement.fetchmany(size)) if self._statement else []

    def close(self) -> None:
        """End the statement at the server."""
        if self._statement is not None:
            self._statement.close()


def _sent(value: Any) -> Any:
    """Return a value as the JSON of Exasol's protocol has it."""
    match value:
        case datetime():
            return value.isoformat(" ", "microseconds")
        case date():
            return value.isoformat()
        case Decimal():
            return format(value, "f")
        case _:
            return value


def _driver() -> Driver:
    import pyexasol  # noqa: PLC0415 - an optional dependency, and slow to import

    def cause(error: Exception, connection: Any) -> Cause:
        if isinstance(error, pyexasol.ExaCommunicationError) or connection.is_closed:
            return "lost"
        if isinstance(error, pyexasol.ExaQueryTimeoutError):
            return "waited"
        return "collided" if getattr(error, "code", None) == COLLISION else "other"

    def begin(connection: Any, mode: SessionMode) -> None:
        if mode == "autocommit":
            connection.set_autocommit(True)

    def end(connection: Any, mode: SessionMode) -> None:
        if mode == "autocommit":
            connection.set_autocommit(False)
        else:
            connection.rollback()

    return Driver(
        module="pyexasol",
        errors=(pyexasol.ExaError,),
        cause=cause,
        paramstyle="qmark",
        cursor=ExasolCursor,
        writing_cursor=ExasolCursor,
        begin=begin,
        end=end,
    )


def _close(connection: Any) -> None:
    connection.close(disconnect=False)


def _import_pyexasol(resource: Resource) -> None:
    try:
        import pyexasol  # noqa: F401, PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"resource {resource.name!r} (db:exasol) needs pyexasol, which is not installed",
            hint="pip install 'aetherflow[exasol]'",
        ) from error
