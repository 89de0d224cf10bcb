"""Create a SQLAlchemy engine from a resource; SQLAlchemy is imported only when it is needed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from aetherflow import ConfigError, MissingExtra, Resource, StepError
from aetherflow_db.failures import first_statement_failed
from aetherflow_db.interruption import notice_lost_network
from aetherflow_db.options import PooledOptions
from aetherflow_db.server_drivers import SERVER_DRIVERS, ServerDriver
from aetherflow_db.server_sql import SERVER_SQL, ServerSql

if TYPE_CHECKING:
    from sqlalchemy import URL, Engine

DRIVER_PACKAGES = {
    "MySQLdb": "mysqlclient",
    "duckdb": "duckdb-engine",
    "exa": "sqlalchemy-exasol",
    "oracledb": "'aetherflow[oracle]'",
    "psycopg": "'aetherflow[postgres]'",
    "psycopg2": "psycopg2-binary",
    "pymssql": "'aetherflow[mssql]'",
    "pymysql": "'aetherflow[mysql]'",
    "snowflake": "snowflake-sqlalchemy",
}
"""What to install for a driver module or a dialect, where the package has another name."""


def make_engine(resource: str, url: URL, options: PooledOptions, more: Mapping[str, Any]) -> Engine:
    """Return an engine; nothing is connected yet. Slow (it imports), so called in a worker thread.

    Args:
        resource: the name of the resource, for messages.
        url: the database.
        options: the options of the resource.
        more: further arguments of the driver's connect function; those of the URL and the options win.

    Raises:
        StepError: the URL cannot be used: its dialect, its driver.
        ConfigError: an option is nothing that this database has.
    """
    import sqlalchemy  # noqa: PLC0415 - an optional dependency, and slow to import

    try:
        engine = sqlalchemy.create_engine(
            url, connect_args=connect_args(resource, url, options, more), **_pool_arguments(url, options)
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
    statements = _first_statements(resource, engine, options)
    limits_reads = "read_timeout" in url.query or "read_timeout" in (options.connect_args or {})

    def connected(raw: Any, record: Any) -> None:
        if not limits_reads:
            server_driver(engine).connected(raw)
        _set_up(raw, record, engine, resource, statements)

    sqlalchemy.event.listen(engine, "connect", connected)
    return engine


def import_sqlalchemy(resource: Resource, extra: str) -> None:
    """Import SQLAlchemy, which takes a second.

    Raises:
        MissingExtra: it is not installed.
    """
    try:
        import sqlalchemy  # noqa: F401, PLC0415 - an optional dependency, and slow to import
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"resource {resource.name!r} ({resource.kind}:{resource.driver}) needs SQLAlchemy, "
            "which is not installed",
            hint=f"pip install 'aetherflow[{extra}]'",
        ) from error


def server_driver(engine: Engine) -> ServerDriver:
    """Return what is peculiar to the engine's driver module."""
    return SERVER_DRIVERS.get(engine.dialect.driver, ServerDriver())


def server_sql(engine: Engine) -> ServerSql:
    """Return what is peculiar to the engine's database."""
    return SERVER_SQL.get(engine.dialect.name, ServerSql())


def in_memory(url: URL) -> bool:
    """Return whether a URL is a SQLite database that ends with its connection."""
    return url.get_backend_name() == "sqlite" and url.database in {None, "", ":memory:"}


def connect_beside(engine: Engine, more: Mapping[str, Any], seconds: float) -> Any:
    """Return a connection of the driver that is not of the pool, for a statement about another connection.

    Args:
        engine: the engine.
        more: the arguments that the connections of the pool get.
        seconds: how long connecting may take, if the driver can limit it.
    """
    positional, named = engine.dialect.create_connect_args(engine.url)
    limit = server_driver(engine).timeout_argument(seconds)
    return engine.dialect.connect(*positional, **{**named, **more, **limit})


def connect_args(resource: str, url: URL, options: PooledOptions, more: Mapping[str, Any]) -> dict[str, Any]:
    """Return the arguments of the driver's connect function that are not in the URL.

    Raises:
        ConfigError: the driver has no time limit for connecting, and the options have one.
    """
    name = url.get_dialect().driver
    driver = SERVER_DRIVERS.get(name, ServerDriver())
    usual = driver.timeout_argument(driver.default_timeout) if driver.default_timeout else {}
    given = {key: value for key, value in {**usual, **more}.items() if key not in url.query}
    if options.timeout is not None:
        is_file = url.get_backend_name() == "sqlite"  # there it is how long to wait for a locked file
        limit = {"timeout": options.timeout} if is_file else driver.timeout_argument(options.timeout)
        if not limit:
            raise unsupported(resource, "timeout", f"the driver {name}")
        given.update(limit)
    if driver.password_as_bytes and url.password:
        given["password"] = url.password.encode()
    if in_memory(url):
        given["check_same_thread"] = False
    return given | (options.connect_args or {})


def unsupported(resource: str, key: str, what: str) -> ConfigError:
    """Return the error for an option that a database does not have."""
    return ConfigError(
        f"resource {resource!r}: {what} has no {key}",
        hint=f"remove options.{key}, or set it by init_sql or connect_args, if the database has such a thing",
        code="AF936",
    )


def place(url: URL) -> str:
    """Return where a URL leads, for messages: dialect, host and database; never user or password."""
    host = f" on {url.host}" if url.host else ""
    port = f":{url.port}" if url.host and url.port else ""
    return f"the {url.get_backend_name()} database {url.database or '(default)'}{host}{port}"


def read_url(resource: str, text: str) -> URL:
    """Return the URL of a text.

    Raises:
        StepError: it is none.
    """
    import sqlalchemy  # noqa: PLC0415 - see make_engine

    try:
        url = sqlalchemy.make_url(text)
    except (sqlalchemy.exc.ArgumentError, ValueError):
        url = None
    if url is None or (url.host and "@" in (url.database or "")):
        # Without a cause: what SQLAlchemy or int() quote, or take for the database, may be of the password.
        raise StepError(
            f"resource {resource!r}: config.url is no database URL",
            hint="write dialect://user:password@host:port/database; in a password write %40 for @, %2F for /",
            code="AF745",
        )
    return url


def _pool_arguments(url: URL, options: PooledOptions) -> dict[str, Any]:
    """Return the pool and its sizes; a database in memory is its only connection."""
    from sqlalchemy import pool  # noqa: PLC0415 - see make_engine

    if in_memory(url):
        return {"poolclass": pool.StaticPool}
    if not options.pool_enabled:
        return {"poolclass": pool.NullPool}
    return {
        "poolclass": pool.QueuePool,
        "pool_size": options.pool_size,
        "max_overflow": options.max_overflow,
        "pool_recycle": options.pool_recycle,
    }


def _first_statements(resource: str, engine: Engine, options: PooledOptions) -> list[str]:
    sql, what = server_sql(engine), f"a database of {engine.dialect.name}"
    found = []
    if options.schema:
        if not sql.schema:
            raise unsupported(resource, "schema", what)
        found.append(sql.schema.format(engine.dialect.identifier_preparer.quote(options.schema)))
    found += options.first_statements
    if options.read_only:
        if not sql.never_writes:
            raise unsupported(resource, "read_only", what)
        found.append(sql.never_writes)
    return found


def _set_up(raw: Any, record: Any, engine: Engine, resource: str, statements: list[str]) -> None:
    """Begin a new connection: run its first statements, and note what the server calls it.

    Raises:
        StepError: the server refuses one of the statements.
    """
    notice_lost_network(raw)
    cursor = raw.cursor()
    if notices_death := server_sql(engine).notices_death:
        try:
            cursor.execute(notices_death)
        except engine.dialect.loaded_dbapi.Error:
            raw.rollback()  # a server that cannot do it, such as an old one or a proxy
    for statement in statements:
        try:
            cursor.execute(statement)
        except engine.dialect.loaded_dbapi.Error as error:
            if engine.dialect.is_disconnect(error, raw, None):
                raise
            failure = first_statement_failed(resource, statement, error)
            raw.close()
            raise failure from error
        if cursor.description is not None:
            cursor.fetchall()
    if id_query := server_sql(engine).id_query:
        cursor.execute(id_query)
        record.info["id"] = cursor.fetchone()[0]
    cursor.close()
    raw.commit()


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
