"""What a resource of kind sftp may say: where the server is, how to log in, which host key is trusted."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from aetherflow import ConfigError, Duration

Port = Annotated[int, Meta(ge=1, le=65535)]
Text = Annotated[str, Meta(min_length=1)]

DEFAULT_PORT = 22


class Login(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server and how to log in there.

    Attributes:
        host: its name or address.
        port: its port.
        user: the user there.
        username: another name of `user`.
        password: also answers a server that asks for it by keyboard-interactive.
        pkey_path: a file with the private key, in OpenSSH's or PEM format.
        pkey: the private key itself.
        passphrase: of the private key.
        agent: true: ask the agent at SSH_AUTH_SOCK for keys; a text: the agent at this socket; false: never.
            Without it, the agent and the key files in ~/.ssh are used if there is no password and no key.
        known_hosts: a file with the keys of servers; by default the user's and the system's.
        host_key: the key of this server as `ssh-ed25519 AAAA...`, a line of known_hosts, or `SHA256:...`; or
            a list of them.
        insecure_host_key: true: connect to whatever server answers; every run warns of it.
    """

    host: Text
    port: Port = DEFAULT_PORT
    user: Text | None = None
    username: Text | None = None
    password: str | None = None
    pkey_path: Text | None = None
    pkey: Text | None = None
    passphrase: str | None = None
    agent: bool | str | None = None
    known_hosts: Text | None = None
    host_key: Text | list[Text] | None = None
    insecure_host_key: bool = False

    @property
    def place(self) -> str:
        """The server as messages name it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return self.host if self.port == DEFAULT_PORT else f"{host}:{self.port}"

    @property
    def has_key(self) -> bool:
        """Whether it names a private key or an agent."""
        return self.pkey is not None or self.pkey_path is not None or bool(self.agent)


class SftpConfig(Login, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server, how to log in there, and how to get there.

    Attributes:
        jump: the hosts to connect through, the first one first: `user@host:port`, or a mapping with the keys
            of this config, or a list of them. One without keys of its own uses those of this config.
        keepalive: after how many seconds of silence the server is asked whether it is there; by default a
            third of the timeout.
        ciphers: the ciphers to offer, the best first; by default aes128-gcm and then all others.
    """

    jump: str | Login | list[str | Login] | None = None
    keepalive: Annotated[Duration, Meta(gt=0)] | None = None
    ciphers: str | list[str] | None = None


class RetryOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How often to try to connect.

    Attributes:
        max_attempts: the number of attempts.
        backoff_seconds: how long to wait after the first attempt; twice as long after each further one.
    """

    max_attempts: Annotated[int, Meta(ge=1)] = 1
    backoff_seconds: Annotated[Duration, Meta(ge=0)] = 1.0


class SftpOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the server is used.

    Attributes:
        timeout: the longest time to connect and log in, and the longest silence of the server.
        retry: {max_attempts, backoff_seconds} of connecting; a number is max_attempts.
        max_sessions: how many SFTP sessions share the one connection; a server may allow fewer.
    """

    timeout: Annotated[Duration, Meta(gt=0)] = 30.0
    retry: RetryOptions | Annotated[int, Meta(ge=1)] = RetryOptions()
    max_sessions: Annotated[int, Meta(ge=1)] = 4

    @property
    def attempts(self) -> RetryOptions:
        """The option `retry` as a mapping."""
        return RetryOptions(max_attempts=self.retry) if isinstance(self.retry, int) else self.retry


def user_of(login: Login, resource: str) -> str:
    """Return the user to log in as.

    Raises:
        ConfigError: there is none, or two that differ.
    """
    given = {name for name in (login.user, login.username) if name is not None}
    if len(given) != 1:
        said = "names two users" if given else "names no user"
        raise ConfigError(
            f"resource {resource!r} (sftp): its config for {login.place} {said}",
            hint="write config.user (username is another name of it)",
            code="AF335",
        )
    return given.pop()


def jumps(config: SftpConfig) -> list[Login]:
    """Return the hosts to connect through, each with its user, and with keys of the config if it has none.

    A password is not passed on: only the server that it is for may see it.
    """
    if config.jump is None:
        return []
    written = config.jump if isinstance(config.jump, list) else [config.jump]
    hosts: list[Login] = []
    for one in written:
        hosts += [_parsed(text) for text in one.split(",")] if isinstance(one, str) else [one]
    return [_completed(host, config) for host in hosts]


def _parsed(text: str) -> Login:
    user, _, place = text.strip().rpartition("@")
    host, port = place, ""
    if place.startswith("["):
        host, _, port = place[1:].partition("]")
        port = port.removeprefix(":")
    elif place.count(":") == 1:
        host, _, port = place.partition(":")
    if not host or not (port or "22").isdecimal():
        raise ConfigError(
            f"config.jump has the host {text!r}", hint="write it as user@host:port", code="AF335"
        )
    return Login(host=host, port=int(port or DEFAULT_PORT), user=user or None)


def _completed(host: Login, config: SftpConfig) -> Login:
    inherited: dict[str, object] = {}
    if host.user is None and host.username is None:
        inherited |= {"user": config.user, "username": config.username}
    if not host.has_key and host.password is None:
        inherited |= {name: getattr(config, name) for name in ("pkey_path", "pkey", "passphrase", "agent")}
    if host.known_hosts is None and host.host_key is None:
        inherited |= {"known_hosts": config.known_hosts}
    return msgspec.structs.replace(host, **inherited)
