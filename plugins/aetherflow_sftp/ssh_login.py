"""Make one SSH connection: through jump hosts, with a checked host key."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import anyio
import asyncssh
from asyncssh import SSHClientConnection, SSHKey
from asyncssh.constants import MSG_IGNORE
from asyncssh.encryption import get_encryption_algs

from aetherflow import ConfigError, run_blocking
from aetherflow_sftp import login_failures as failures
from aetherflow_sftp import packet_log
from aetherflow_sftp.host_keys import TrustedKeys, trusted_keys
from aetherflow_sftp.joined_writes import JoinedWrites
from aetherflow_sftp.login_failures import Shown
from aetherflow_sftp.private_keys import login_options
from aetherflow_sftp.settings import Login, SftpConfig, jumps, user_of

FAST_CIPHERS = "^aes128-gcm@openssh.com,aes256-gcm@openssh.com"
"""These first, then all others: twice as fast as the default of most servers."""

WINDOW_BYTES = 8 * 2**20
PACKET_BYTES = 128 * 1024
"""How much the server may send before it waits, and in which pieces: few large ones cost less."""

CLOSE_SECONDS = 3.0
SILENCES = 3
"""How often to ask within the timeout whether the server is there, if nothing else is asked."""


class Connections:
    """An SSH connection, and those to the jump hosts that it runs through.

    Attributes:
        end: the connection to the server itself.
    """

    def __init__(self, chain: Sequence[SSHClientConnection]) -> None:
        self.end = chain[-1]
        self._chain = chain

    def abort(self) -> None:
        """Close all at once, without a word to the servers."""
        for connection in reversed(self._chain):
            connection.abort()

    async def aclose(self) -> None:
        """Close all, the last one first."""
        for connection in reversed(self._chain):
            connection.close()
            with anyio.move_on_after(CLOSE_SECONDS, shield=True) as waiting:
                await connection.wait_closed()
            if waiting.cancelled_caught:
                connection.abort()


async def connect(
    resource: str,
    config: SftpConfig,
    timeout: float,  # noqa: ASYNC109 - of each login on the way, for the message
) -> Connections:
    """Connect and log in, within `timeout` seconds for each server on the way.

    Raises:
        StepError: a server cannot be reached, its key is not trusted, or it rejects the login.
        ConfigError: a setting cannot be used.
    """
    chain: list[SSHClientConnection] = []
    try:
        for login in [*jumps(config), config]:
            chain.append(await _connect_one(resource, config, login, timeout, chain[-1] if chain else None))
    except BaseException:
        for connection in reversed(chain):
            connection.abort()
        raise
    return Connections(chain)


async def _connect_one(
    resource: str,
    config: SftpConfig,
    login: Login,
    timeout: float,  # noqa: ASYNC109 - of the whole login, for the message
    tunnel: SSHClientConnection | None,
) -> SSHClientConnection:
    shown = Shown()
    trusted = await run_blocking(trusted_keys, login, resource)
    user = user_of(login, resource)
    options = {
        **_options(resource, config, timeout),
        **await run_blocking(login_options, login, resource),
        "known_hosts": None if login.insecure_host_key else partial(_match, trusted, shown),
        "client_factory": partial(_Client, trusted, shown),
    }
    try:
        with anyio.fail_after(timeout):
            connection = await asyncssh.connect(
                login.host, login.port, username=user, tunnel=tunnel or JoinedWrites(), **options
            )
    except asyncssh.HostKeyNotVerifiable as error:
        if shown.key is None:
            raise failures.host_key_rejected(resource, login, error, trusted) from error
        raise failures.host_key_failed(
            resource, login, shown.key, trusted, is_known=shown.is_known
        ) from error
    except asyncssh.KeyExchangeFailed as error:
        # Only keys of the trusted types are requested: the server may have none of them.
        key = await shown_key(login, timeout, tunnel) if shown.is_known else None
        if key is not None and not trusted.has(login, key):
            raise failures.host_key_failed(resource, login, key, trusted, is_known=True) from error
        raise failures.no_common_way(resource, login, error) from error
    except asyncssh.PermissionDenied as error:
        raise failures.login_rejected(resource, login, user, shown.banner, error) from error
    except (OSError, asyncssh.Error) as error:
        raise failures.connection_failed(resource, login, error, timeout) from error
    _send_no_empty_packets(connection)
    packet_log.leave_out(connection)
    return connection


async def shown_key(
    login: Login,
    timeout: float,  # noqa: ASYNC109 - see _connect_one
    tunnel: SSHClientConnection | None = None,
) -> SSHKey | None:
    """Return the key that a server shows to a client that trusts every key; None if it cannot be had."""
    try:
        with anyio.fail_after(timeout):
            return await asyncssh.get_server_host_key(
                login.host, login.port, tunnel=tunnel or (), config=None
            )
    except (OSError, asyncssh.Error):
        return None


def _options(resource: str, config: SftpConfig, timeout: float) -> dict[str, Any]:
    """Return the options of asyncssh that are the same for all servers on the way; no file sets any."""
    keepalive = config.keepalive or timeout / SILENCES
    return {
        "config": None,
        "gss_host": None,
        "x509_trusted_certs": None,
        "encryption_algs": _ciphers(resource, config.ciphers),
        "compression_algs": None,
        "keepalive_interval": keepalive,
        "keepalive_count_max": max(1, round(timeout / keepalive)),
        "window": WINDOW_BYTES,
        "max_pktsize": PACKET_BYTES,
    }


def _send_no_empty_packets(connection: SSHClientConnection) -> None:
    """Leave out the empty packet that the library sends before each one; that is a fourth of its work.

    It protects the old ciphers with CBC, which are not offered unless the config names them.
    """
    if "cbc" in str(connection.get_extra_info("send_cipher")):
        return
    send = connection.send_packet

    def send_packet(kind: int, *parts: bytes, handler: Any = None) -> None:
        if kind != MSG_IGNORE:
            send(kind, *parts, handler=handler)

    connection.send_packet = send_packet  # type: ignore[assignment]  # of this connection only


def _ciphers(resource: str, written: str | list[str] | None) -> str | list[str]:
    """Return the ciphers to offer, the best first.

    Raises:
        ConfigError: one is not known.
    """
    if not written:
        return FAST_CIPHERS
    names = [name.strip() for name in (written.split(",") if isinstance(written, str) else written)]
    known = [name.decode() for name in get_encryption_algs()]
    if unknown := [name for name in names if name not in known]:
        raise ConfigError(
            f"resource {resource!r}: config.ciphers names an unknown cipher: {', '.join(unknown)}",
            hint=f"known are: {', '.join(known)}",
            code="AF335",
        )
    return names


def _match(trusted: TrustedKeys, shown: Shown, host: str, addr: str, port: int | None) -> tuple[Any, ...]:
    """Return the trusted keys of a server as asyncssh wants them, and remember whether there are some."""
    found = trusted.known.match(host, addr, port)
    shown.is_known = bool(found[0] or found[1])
    return found


class _Client(asyncssh.SSHClient):
    """Remembers what the server shows; trusts a key whose fingerprint is trusted."""

    def __init__(self, trusted: TrustedKeys, shown: Shown) -> None:
        self._trusted = trusted
        self._shown = shown

    def validate_host_public_key(self, host: str, addr: str, port: int, key: SSHKey) -> bool:
        del host, addr, port
        if key.get_fingerprint().rstrip("=") in self._trusted.fingerprints:
            return True
        self._shown.key = key
        return False

    def auth_banner_received(self, msg: str, lang: str) -> None:
        del lang
        self._shown.banner = msg
