"""Fetch a secret that a reference names: from a variable, a file, a program or the OS keyring.

All of it blocks, so it is called in worker threads, at the start of a run and when a connector opens. Errors
name the place of the secret and never what was read, nor what a program wrote on standard error: that may
contain the secret too.
"""

from __future__ import annotations

import os
import select
import shlex
import signal
import stat
import subprocess
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from aetherflow.config.secret_reference import SecretReference
from aetherflow.errors import ConfigError, MissingExtra
from aetherflow.plugin_errors import is_our_cancellation
from aetherflow.written_path import written_path

COMMAND_SECONDS = 30.0
POLL_SECONDS = 0.02
LONGEST_BYTES = 1 << 16

_FILE, _COMMAND, _KEYRING, _VALUE = "AF571", "AF572", "AF573", "AF574"


Known = Callable[[SecretReference | str], str | None]
"""Returns what was fetched a moment ago for a reference, or decoded from a text; None if it is not known."""


def nothing_known(_: SecretReference | str) -> None:
    """Return None: everything is fetched and decoded now."""


class Surroundings(msgspec.Struct, frozen=True):
    """What secret providers need of the run.

    Attributes:
        env: the environment snapshot.
        mark: variables that a child process gets beside it, so that it does not outlive its run.
        warn: called with each warning.
        known: returns what was fetched a moment ago.
    """

    env: Mapping[str, str]
    mark: Callable[[], Mapping[str, str]] = dict
    warn: Callable[[str], None] = lambda _: None
    known: Known = nothing_known


def fetch_secret(reference: SecretReference, around: Surroundings) -> str:
    """Return a secret.

    Raises:
        ConfigError: it does not exist or cannot be read; the message names its place.
        MissingExtra: the keyring library is not installed.
    """
    match reference.provider:
        case "env":
            value = around.env.get(reference.name, "")
            if not value:
                message = f"the environment variable {reference.name} {_state(reference.name, around.env)}"
                raise ConfigError(message, hint="set it before the run", code="AF536")
            return value
        case "file":
            return _text_of(_read_file(reference.name, around), f"the file {reference.name}")
        case "command":
            argv = shlex.split(reference.name)
            return _text_of(run_command(argv, around), f"the output of {argv[0]}")
        case "keyring":
            return _from_keyring(reference.name)


def secret_file(name: str, env: Mapping[str, str]) -> Path:
    """Return the file that a reference names; see `rendered_reference` for relative paths."""
    return written_path(name, home=env.get("HOME", ""))


def others_may_read(path: Path) -> bool:
    """Whether every user of the machine may read a file."""
    return bool(path.stat().st_mode & stat.S_IROTH)


def _state(name: str, env: Mapping[str, str]) -> str:
    return "is empty" if name in env else "is not set"


def _read_file(name: str, around: Surroundings) -> bytes:
    path = secret_file(name, around.env)
    try:
        if path.exists() and not path.is_file():
            raise ConfigError(f"{path} is no file", hint="name the file that holds the secret", code=_FILE)
        with path.open("rb") as file:
            content = file.read(LONGEST_BYTES + 1)
        if others_may_read(path):
            around.warn(f"the secret in {path} can be read by every user of this machine: chmod o-r {path}")
    except OSError as error:
        reason = (error.strerror or type(error).__name__).lower()
        hint = "check the path and its permissions; a relative one starts at the file that has it"
        raise ConfigError(f"cannot read the secret in {path}: {reason}", hint=hint, code=_FILE) from None
    return content


def run_command(argv: list[str], around: Surroundings) -> bytes:
    """Return the standard output of a program; when its time is over, its whole process group is killed.

    Raises:
        ConfigError: it cannot be started, failed, or took too long.
    """
    hint = f"run it by hand: {shlex.join(argv)}"
    try:
        child = subprocess.Popen(  # noqa: S603 - the program that the flow or its profile names, without a shell
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env={**around.env, **around.mark()},
            start_new_session=True,
        )
    except (OSError, ValueError) as error:
        reason = (error.strerror if isinstance(error, OSError) else None) or type(error).__name__
        hint = f"install {argv[0]}, or correct the command and the PATH"
        raise ConfigError(f"cannot start {argv[0]}: {reason.lower()}", hint=hint, code=_COMMAND) from None
    late = threading.Event()

    def end() -> None:
        late.set()
        _kill_group(child)

    timer = threading.Timer(COMMAND_SECONDS, end)
    timer.daemon = True
    timer.start()
    with child:
        try:
            content = _output_of(child)
            if len(content) > LONGEST_BYTES:
                _kill_group(child)
            child.wait()
        finally:
            timer.cancel()
            _kill_group(child)
    if late.is_set():
        message = f"{argv[0]} did not end within {COMMAND_SECONDS:g} s"
        raise ConfigError(message, hint=f"it must not ask for anything; {hint}", code=_COMMAND)
    if child.returncode and len(content) <= LONGEST_BYTES:
        raise ConfigError(f"{argv[0]} ended with exit code {child.returncode}", hint=hint, code=_COMMAND)
    return content


def _output_of(child: subprocess.Popen[bytes]) -> bytes:
    """Return what a program wrote before it ended.

    It does not wait for the end of the file: a daemon that the program has started (an agent of a password
    store) may hold the pipe open for ever.
    """
    content = b""
    if child.stdout is None:
        return content
    while len(content) <= LONGEST_BYTES:
        is_over = child.poll() is not None  # before reading, so that its last output is not missed
        ready, _, _ = select.select([child.stdout], [], [], 0 if is_over else POLL_SECONDS)
        if ready:
            part = os.read(child.stdout.fileno(), LONGEST_BYTES)
            if not part:
                break
            content += part
        elif is_over:
            break
    return content


def _kill_group(child: subprocess.Popen[bytes]) -> None:
    """Kill what is left of the group: an ended leader may have left others behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, signal.SIGKILL)


def _from_keyring(name: str) -> str:
    service, _, user = name.rpartition("/")
    try:
        import keyring  # noqa: PLC0415 - an optional dependency
        import keyring.errors  # noqa: PLC0415 - as above
    except ModuleNotFoundError as error:
        raise MissingExtra(
            f"a secret in the OS keyring needs the package {error.name!r}, which is not installed",
            hint="pip install 'aetherflow[keyring]'",
        ) from None
    try:
        value = keyring.get_password(service, user)
    except keyring.errors.NoKeyringError:
        hint = "on a server there may be none: use file: or command: there"
        raise ConfigError("this machine has no keyring", hint=hint, code=_KEYRING) from None
    except BaseException as error:  # backends raise what they like, D-Bus errors among it
        if is_our_cancellation(error):
            raise
        message = f"the keyring cannot be read: {type(error).__name__}"
        raise ConfigError(message, hint="unlock it, or use another provider", code=_KEYRING) from None
    if value is None:
        message = f"the keyring has no secret of {user!r} for {service!r}"
        raise ConfigError(message, hint=f"keyring set {shlex.join([service, user])}", code=_KEYRING)
    return _not_empty(value, f"the keyring's secret of {user!r} for {service!r}")


def _text_of(content: bytes, source: str) -> str:
    """Return a secret that was read as bytes, without one line end after it."""
    if len(content) > LONGEST_BYTES:
        raise ConfigError(f"{source} is longer than {LONGEST_BYTES} bytes", code=_VALUE)
    try:
        text = content.decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{source} is not UTF-8 text", code=_VALUE) from None
    return _not_empty(text.removesuffix("\n").removesuffix("\r"), source)


def _not_empty(text: str, source: str) -> str:
    if not text:
        raise ConfigError(f"{source} is empty", hint="put the secret there", code=_VALUE)
    return text
