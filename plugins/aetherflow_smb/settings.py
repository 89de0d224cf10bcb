"""The config and options of a resource of kind smb."""

from __future__ import annotations

from enum import Enum, auto
from typing import Annotated

import msgspec
from msgspec import Meta

from aetherflow import ConfigError, Duration

Text = Annotated[str, Meta(min_length=1)]


class SmbConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    r"""Where the share is, and who logs in.

    Attributes:
        server: the name or address of the server.
        share: the share of paths that name none.
        port: the TCP port.
        username: who logs in, also as DOMAIN\user or user@domain; if empty, this user's Kerberos ticket.
        user: another name of `username`.
        password: the password.
        domain: the domain of the account.
        encrypt: refuse a connection that cannot be encrypted. Without it the server decides.
        signing: sign what is sent and check what arrives, so that nobody can change it on the way.
        dfs: follow a DFS namespace to the server that has the files.
    """

    server: Text
    share: str = ""
    port: Annotated[int, Meta(ge=1, le=65535)] = 445
    username: str | None = None
    user: str | None = None
    password: str | None = None
    domain: str = ""
    encrypt: bool = False
    signing: bool = True
    dfs: bool = True


class PysmbConfig(SmbConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The same, with two keys of pysmb; SMB 2 and 3 do not use them.

    Attributes:
        server_name: the NetBIOS name of the server.
        client_name: the NetBIOS name of this machine.
    """

    server_name: str | None = None
    client_name: str | None = None


class FolderConfig(PysmbConfig, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A folder instead of a server; of the other keys only `server` and `share` are used.

    Attributes:
        path: the folder that has one folder for each share.
        server: the name that paths with a host must have; any, if it is not given.
    """

    path: Text
    server: str = ""


class SmbOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the connection is used.

    Attributes:
        timeout: how long to wait for the server, at the login and at each answer.
    """

    timeout: Annotated[Duration, Meta(gt=0)] = 30.0


class Protection(Enum):
    """What keeps others on the network from reading or changing what is transferred."""

    ENCRYPTED = auto()
    SIGNED = auto()
    NONE = auto()


class Login(msgspec.Struct, frozen=True):
    """Everything that a connection needs to know.

    Attributes:
        resource: the name of the resource, for messages.
        username: with its domain; None: the Kerberos ticket of this user.
    """

    resource: str
    server: str
    port: int
    username: str | None
    password: str | None
    encrypt: bool
    signing: bool
    dfs: bool
    timeout: float


def login_of(resource: str, config: SmbConfig, options: SmbOptions) -> Login:
    """Return how to log in.

    Raises:
        ConfigError: `user` and `username` differ, or there is a password without a user.
    """
    if config.user and config.username and config.user != config.username:
        raise ConfigError(
            f"resource {resource!r}: config has user and username, which are two names of one key",
            hint="write user only",
        )
    username = config.username or config.user or None
    if config.password and username is None:
        raise ConfigError(
            f"resource {resource!r}: config has a password but no user",
            hint="add user; without both, the Kerberos ticket of this user logs in",
        )
    if username and config.domain and not set("\\@") & set(username):
        username = f"{config.domain}\\{username}"
    return Login(
        resource,
        config.server,
        config.port,
        username,
        config.password or None,
        config.encrypt,
        config.signing,
        config.dfs,
        options.timeout,
    )
