"""The connectors of database servers, whose config is a URL or its parts: they are SQLAlchemy engines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import ConfigError, Resource, connector
from aetherflow_db.sqlalchemy_connector import Address, SqlAlchemyConnector
from aetherflow_db.sqlalchemy_engine import read_url

if TYPE_CHECKING:
    from sqlalchemy import URL

Port = Annotated[int, Meta(ge=1, le=65535)]


class ServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where the database is: a URL, or its parts.

    Attributes:
        url: for example `postgresql://user:password@host/database`.
        host: the server; without it, the driver's default.
        port: its port; without it, the database's usual one.
        user: the account; it may be beside a URL too.
        password: its password; it may be beside a URL too.
        database: the database on the server.
    """

    url: str | None = None
    host: str | None = None
    port: Port | None = None
    user: str | None = None
    password: str | None = None
    database: str | None = None


def server_url(resource: Resource, config: ServerConfig, scheme: str, driver: str) -> URL:
    """Return the URL of a server, with a driver that is not the default of its scheme.

    Raises:
        ConfigError: there is a URL and parts of it, or neither.
        StepError: the URL is none, or of another database.
    """
    from sqlalchemy import URL  # noqa: PLC0415 - an optional dependency, and slow to import

    has_parts = bool(config.host or config.port or config.database)
    where = f"resource {resource.name!r} ({resource.kind}:{resource.driver})"
    if config.url and has_parts:
        raise ConfigError(
            f"{where} has config.url and parts of it",
            hint="give the url, or host, port and database",
            code="AF935",
        )
    if not config.url:
        if not has_parts:
            raise ConfigError(
                f"{where} has no config.url and no config.host",
                hint="give the url, or host, port, user, password and database",
                code="AF935",
            )
        return URL.create(
            f"{scheme}+{driver}",
            username=config.user,
            password=config.password,
            host=config.host,
            port=config.port,
            database=config.database,
        )
    url = read_url(resource.name, config.url)
    backend = url.get_backend_name() if url.drivername != "postgres" else "postgresql"
    if backend not in {scheme, *_SAME.get(scheme, ())}:
        raise ConfigError(
            f"{where}: config.url is of a database {backend}",
            hint=f"write {scheme}://..., or use the driver sqlalchemy",
            code="AF935",
        )
    if "+" not in url.drivername:
        url = url.set(drivername=f"{backend}+{driver}")
    return url.set(username=config.user or url.username, password=config.password or url.password)


_SAME = {"mysql": ("mariadb",)}


@connector("db:postgres")
class PostgresConnector(SqlAlchemyConnector):
    """A database of PostgreSQL, through psycopg 3."""

    config_type: ClassVar[type[Any]] = ServerConfig
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy", "psycopg")
    extra: ClassVar[str] = "postgres"

    @classmethod
    def address(cls, resource: Resource) -> Address:
        """Return the URL, which may also be written in parts."""
        config = resource.config_as(ServerConfig)
        return Address(server_url(resource, config, "postgresql", "psycopg"))


@connector("db:mysql")
class MysqlConnector(SqlAlchemyConnector):
    """A database of MySQL or MariaDB, through PyMySQL."""

    config_type: ClassVar[type[Any]] = ServerConfig
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy", "pymysql")
    extra: ClassVar[str] = "mysql"

    @classmethod
    def address(cls, resource: Resource) -> Address:
        """Return the URL, which may also be written in parts; texts are UTF-8 in all its characters."""
        config = resource.config_as(ServerConfig)
        return Address(server_url(resource, config, "mysql", "pymysql"), {"charset": "utf8mb4"})


@connector("db:mssql")
class MssqlConnector(SqlAlchemyConnector):
    """A database of SQL Server, through pymssql."""

    config_type: ClassVar[type[Any]] = ServerConfig
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy", "pymssql")
    extra: ClassVar[str] = "mssql"

    @classmethod
    def address(cls, resource: Resource) -> Address:
        """Return the URL, which may also be written in parts."""
        config = resource.config_as(ServerConfig)
        return Address(server_url(resource, config, "mssql", "pymssql"))
