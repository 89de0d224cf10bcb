"""A connection to a file server that is logged in; blocking, and used by one thread at a time.

smbprotocol counts credits for each connection without looking at other threads, so two transfers on one
connection can fail. Here every call has a connection to itself, and can break it off without harm to others;
`share_line.py` counts for those who share one.
"""

from __future__ import annotations

import logging
import socket
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from smbclient._pool import get_smb_tree
from smbprotocol.exceptions import (
    SMBAuthenticationError,
    SMBConnectionClosed,
    SMBException,
    SMBResponseException,
)
from smbprotocol.session import Session

from aetherflow import StepError
from aetherflow_smb.failures import cannot_reach, login_refused, no_credentials, not_protected, share_failed
from aetherflow_smb.quick_connection import QuickConnection
from aetherflow_smb.settings import Login, Protection
from aetherflow_smb.share_paths import SharePath

IDLE_SECONDS = 5.0
"""After this time without a call, the server is asked whether it is still there before it gets another."""


class ShareConnection:
    """Logs in at a server when it is first needed; with a DFS namespace also at the servers it leads to.

    Attributes:
        login: how it logs in.
    """

    def __init__(self, login: Login) -> None:
        self.login = login
        self._used_at = time.monotonic()
        self._cache = _Servers(self.log_in)
        self._is_broken = False
        self._trees: dict[tuple[str, str], Any] = {}
        # Whatever the reading thread of smbprotocol meets is raised in the call that waits for it.
        logger = logging.getLogger("smbprotocol")
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.CRITICAL)

    @property
    def keywords(self) -> dict[str, Any]:
        """The arguments of every call of smbclient, so that it uses this connection."""
        return {
            "username": self.login.username,
            "password": self.login.password,
            "port": self.login.port,
            "encrypt": self.login.encrypt or None,
            "connection_timeout": self.login.timeout,
            "connection_cache": self._cache,
            "require_signing": self.login.signing,
        }

    @property
    def is_usable(self) -> bool:
        """Whether another call may use it."""
        return not self._is_broken and all(one.transport.connected for one in self._cache.values())

    @property
    def is_connected(self) -> bool:
        """Whether it has logged in."""
        return bool(self._cache)

    @property
    def needs_a_look(self) -> bool:
        """Whether it was not used for a while, so that the server may be gone."""
        return time.monotonic() - self._used_at > IDLE_SECONDS

    def rest(self) -> None:
        """Note that a call has ended."""
        self._used_at = time.monotonic()

    def is_alive(self) -> bool:
        """Ask the servers; return whether they answer soon."""
        with suppress(SMBException, OSError):
            for connection in self._cache.values():
                sid = next(iter(connection.session_table), 0)
                connection.echo(sid=sid, timeout=min(self.login.timeout, IDLE_SECONDS))
            return self.is_usable
        return False

    def log_in(self, host: str) -> Any:
        """Connect to a host and log in, unless that is done; return smbprotocol's session.

        Raises:
            StepError: it cannot be reached (AF347), refuses the login (AF349), or cannot sign or encrypt
                (AF357).
        """
        login, key = self.login, f"{host.lower()}:{self.login.port}"
        if key in self._cache:
            return next(iter(self._cache[key].session_table.values()))
        connection = QuickConnection(uuid.uuid4(), host, login.port, require_signing=login.signing)
        self._cache[key] = connection
        began = time.monotonic()
        try:
            connection.connect(timeout=login.timeout)
            session = Session(connection, login.username, login.password, require_encryption=login.encrypt)
            session.connect()
        except SMBAuthenticationError as error:
            raise self._given_up(no_credentials(login, error)) from error
        except SMBResponseException as error:
            raise self._given_up(login_refused(login, error.status)) from error
        except SMBConnectionClosed as error:
            raise self._given_up(cannot_reach(login, host, error)) from error
        except SMBException as error:
            is_late = time.monotonic() - began >= login.timeout
            if is_late or connection.dialect is None:
                cause = TimeoutError() if is_late else error
                raise self._given_up(cannot_reach(login, host, cause)) from error
            raise self._given_up(not_protected(login, error)) from error
        except Exception as error:  # the reading thread raises anything, if the other side speaks no SMB
            raise self._given_up(cannot_reach(login, host, error)) from error
        return session

    def known_tree(self, path: SharePath) -> Any:
        """Return smbprotocol's tree of a share that was used before, or None; it does not block."""
        return self._trees.get((path.host, path.share))

    def use_share(self, path: SharePath) -> Any:
        """Log in and connect to the share of a path, unless that is done; return smbprotocol's tree.

        Raises:
            StepError: as `log_in`; or there is no such share (AF350), or the user may not use it (AF351).
        """
        self.log_in(path.host)
        try:
            tree, _inner = get_smb_tree(rf"\\{path.host}\{path.share}", **self.keywords)
        except SMBResponseException as error:
            raise share_failed(self.login, path.host, path.share, error.status) from error
        if not self.login.dfs:
            tree.is_dfs_share = False
        self._trees[path.host, path.share] = tree
        return tree

    def protection(self, path: SharePath | None) -> Protection:
        """Log in, connect to the share of a path, and return how the connection is protected.

        Raises:
            StepError: as `use_share`.
        """
        session = self.log_in(self.login.server)
        tree = None if path is None else self.use_share(path)
        if session.encrypt_data or (tree is not None and tree.encrypt_data):
            return Protection.ENCRYPTED
        return Protection.SIGNED if session.signing_required else Protection.NONE

    def break_off(self) -> None:
        """End it at once, from any thread and without waiting: a call that waits for an answer fails."""
        self._is_broken = True
        for connection in list(self._cache.values()):
            found = getattr(connection.transport, "_sock", None)  # Tcp.close waits for a call that sends
            if found is not None:
                with suppress(OSError):
                    found.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Log out and close it."""
        for connection in self._cache.values():
            with suppress(SMBException, OSError):
                connection.disconnect(close=self.is_usable, timeout=IDLE_SECONDS)
        self._cache.clear()

    def _given_up(self, error: StepError) -> StepError:
        self.break_off()
        return error


class _Servers(dict[str, Any]):
    """The connections by `host:port`, as smbclient keeps them; where it finds none, ours is made."""

    def __init__(self, log_in: Callable[[str], Any]) -> None:
        super().__init__()
        self._log_in = log_in

    def get(self, key: str, default: Any = None) -> Any:
        """Return the connection to a server, which a DFS namespace may lead to.

        Raises:
            SMBConnectionClosed: it has ended; smbclient would make another one, of its own kind.
        """
        del default
        if key not in self:
            self._log_in(key.rpartition(":")[0])
        if not self[key].transport.connected:
            raise SMBConnectionClosed("the connection has ended")
        return self[key]
