"""The connector `db:oracledb`: a database of Oracle, through oracledb as a SQLAlchemy engine."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

import msgspec
from msgspec import Meta

from aetherflow import ConfigError, Resource, StepError, connector
from aetherflow_db.failures import first_line
from aetherflow_db.options import PooledOptions
from aetherflow_db.server_connectors import ServerConfig, server_url
from aetherflow_db.sqlalchemy_connector import Address, SqlAlchemyConnector

PORT = 1521


class OracleConfig(ServerConfig, frozen=True, forbid_unknown_fields=True):
    """Where the database is: a dsn, or host and service, or a URL.

    Attributes:
        dsn: as Oracle spells it: `host:port/service`, a name of tnsnames.ora, or a whole description.
    """

    dsn: str | None = None


class OracleClient(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The group `oracle` of the options.

    Attributes:
        lib_dir: instead of the flat `lib_dir`.
    """

    lib_dir: str | None = None


class OracleOptions(PooledOptions, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """How connections are opened and used.

    Attributes:
        lib_dir: the folder of Oracle's client libraries, for databases that need them.
        oracle: the same in another spelling: {lib_dir}.
    """

    arraysize: Annotated[int, Meta(ge=1)] | None = 5000
    pool_size: Annotated[int, Meta(ge=0)] = 4
    lib_dir: str | None = None
    oracle: OracleClient | None = None


@connector("db:oracledb")
class OracleConnector(SqlAlchemyConnector):
    """A database of Oracle, through oracledb."""

    config_type: ClassVar[type[Any]] = OracleConfig
    options_type: ClassVar[type[PooledOptions]] = OracleOptions
    packages: ClassVar[tuple[str, ...]] = ("sqlalchemy", "oracledb")
    extra: ClassVar[str] = "oracle"

    @classmethod
    def address(cls, resource: Resource) -> Address:
        """Return the dsn as an argument of the driver; `database` is the name of a service."""
        from sqlalchemy import URL  # noqa: PLC0415 - an optional dependency, and slow to import

        config = resource.config_as(OracleConfig)
        options = resource.options_as(OracleOptions)
        _load_client(resource, options.lib_dir or (options.oracle or OracleClient()).lib_dir)
        if config.url and not config.dsn:
            return Address(server_url(resource, config, "oracle", "oracledb"))
        dsn = config.dsn or (config.host and f"{config.host}:{config.port or PORT}/{config.database or ''}")
        if not dsn or config.url or (config.dsn and config.host):
            raise ConfigError(
                f"resource {resource.name!r} ({resource.kind}:{resource.driver}) needs one of config.dsn, "
                "config.host and config.url",
                hint="write for example: config: {dsn: db.example:1521/shop, user: me, password: ...}",
                code="AF935",
            )
        login = {"user": config.user, "password": config.password}
        return Address(URL.create("oracle+oracledb"), {"dsn": dsn, **login}, f"the oracle database {dsn}")


def _load_client(resource: Resource, folder: str | None) -> None:
    """Load Oracle's client libraries; they then serve all resources of the process."""
    if not folder:
        return
    try:
        import oracledb  # noqa: PLC0415 - an optional dependency, and slow to import
    except ImportError:
        return  # creating the engine reports it
    try:
        oracledb.init_oracle_client(lib_dir=folder)
    except oracledb.Error as error:
        raise StepError(
            f"resource {resource.name!r}: Oracle's client in {folder} cannot be used: {first_line(error)}",
            hint="correct options.lib_dir, or remove it: most databases need no client",
            code="AF939",
        ) from error
