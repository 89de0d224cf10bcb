"""Secrets are fetched from real variables, files, programs and a keyring; failures never show a value."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import keyring
import keyring.backend
import keyring.backends.fail
import pytest

from aetherflow.config import value_providers
from aetherflow.config.secret_reference import parse_reference
from aetherflow.config.value_providers import Surroundings, fetch_secret
from aetherflow.errors import ConfigError, MissingExtra
from tests.polling import wait_until

CANARY = "canary-7f3a9c"
PATH = os.environ["PATH"]


def fetched(text: str, env: dict[str, str] | None = None, warnings: list[str] | None = None) -> str:
    around = Surroundings(
        {"PATH": PATH, **(env or {})}, warn=(warnings if warnings is not None else []).append
    )
    return fetch_secret(parse_reference(text), around)


def private(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    path.chmod(0o600)
    return path


def script(text: str) -> str:
    """Return a reference to a Python program."""
    return f"command:{sys.executable} -c '{text}'"


def test_a_variable_of_the_snapshot() -> None:
    assert fetched("env:DB_PASSWORD", {"DB_PASSWORD": CANARY}) == CANARY


@pytest.mark.parametrize(("env", "state"), [({}, "is not set"), ({"DB_PASSWORD": ""}, "is empty")])
def test_a_variable_without_a_value(env: dict[str, str], state: str) -> None:
    with pytest.raises(ConfigError, match=f"the environment variable DB_PASSWORD {state}") as raised:
        fetched("env:DB_PASSWORD", env)
    assert raised.value.code == "AF536"


@pytest.mark.parametrize(
    ("content", "secret"),
    [
        (CANARY, CANARY),
        (f"{CANARY}\n", CANARY),
        (f"{CANARY}\r\n", CANARY),
        (f"{CANARY}\n\n", f"{CANARY}\n"),
        (f" {CANARY} \n", f" {CANARY} "),
        ("line one\nline two\n", "line one\nline two"),
        ("päss wörd", "päss wörd"),
    ],
)
def test_a_file_without_the_end_of_its_last_line(tmp_path: Path, content: str, secret: str) -> None:
    warnings: list[str] = []
    file = private(tmp_path / "db", content)
    assert fetched(f"file:{file}", warnings=warnings) == secret
    assert warnings == []


def test_a_file_below_the_home_of_the_snapshot_and_below_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    private(tmp_path / "db", CANARY)
    monkeypatch.chdir(tmp_path)
    assert fetched("file:~/db", {"HOME": str(tmp_path)}) == CANARY
    assert fetched("file:db") == CANARY


@pytest.mark.parametrize(("mode", "warned"), [(0o600, False), (0o640, False), (0o644, True), (0o604, True)])
def test_a_file_that_everybody_may_read_is_used_with_a_warning(
    tmp_path: Path, mode: int, *, warned: bool
) -> None:
    file = private(tmp_path / "db", CANARY)
    file.chmod(mode)
    warnings: list[str] = []
    assert fetched(f"file:{file}", warnings=warnings) == CANARY
    assert bool(warnings) is warned
    if warned:
        assert warnings == [
            f"the secret in {file} can be read by every user of this machine: chmod o-r {file}"
        ]


@pytest.mark.parametrize(
    ("content", "code", "message"),
    [
        (b"", "AF574", "the file {file} is empty"),
        (b"\n", "AF574", "the file {file} is empty"),
        (CANARY.encode() + b"\xff", "AF574", "the file {file} is not UTF-8 text"),
        (CANARY.encode() * 10_000, "AF574", "the file {file} is longer than 65536 bytes"),
        (None, "AF571", "cannot read the secret in {file}: no such file or directory"),
    ],
)
def test_a_file_that_holds_no_secret(tmp_path: Path, content: bytes | None, code: str, message: str) -> None:
    file = tmp_path / "db"
    if content is not None:
        private(file, content)
    with pytest.raises(ConfigError) as raised:
        fetched(f"file:{file}")
    assert (raised.value.code, raised.value.message) == (code, message.format(file=file))
    assert CANARY not in str(raised.value)


def test_a_folder_or_a_pipe_is_no_secret_and_nobody_waits_for_it(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path, tmp_path / "pipe"):
        with pytest.raises(ConfigError, match="is no file"):
            fetched(f"file:{path}")


def test_the_output_of_a_program_without_its_last_line_end() -> None:
    assert fetched(f"command:printf '%s\\n' {CANARY}") == CANARY
    assert fetched("command:sh -c 'printf %s \"$GIVEN\"'", {"GIVEN": CANARY}) == CANARY


def test_a_command_is_words_not_a_shell(tmp_path: Path) -> None:
    assert fetched("command:printf %s '$HOME; a|b > c && *'") == "$HOME; a|b > c && *"
    assert list(tmp_path.iterdir()) == []


def test_a_program_has_no_terminal_and_nothing_to_read_and_is_marked() -> None:
    text = 'import os,sys; print(sys.stdin.read() + os.environ["MARK"] + str(os.getsid(0) == os.getpid()))'
    around = Surroundings({"PATH": PATH}, mark=lambda: {"MARK": "m1-"})
    assert fetch_secret(parse_reference(script(text)), around) == "m1-True"


@pytest.mark.parametrize(
    ("text", "code", "message", "hint"),
    [
        ("command:no_such_program x", "AF572", "cannot start no_such_program: no such file", "install"),
        ("command:false", "AF572", "false ended with exit code 1", "run it by hand: false"),
        (f"command:sh -c 'echo {CANARY} >&2; exit 3'", "AF572", "sh ended with exit code 3", "run it"),
        ("command:true", "AF574", "the output of true is empty", "put the secret there"),
        ("command:head -c 70000 /dev/zero", "AF574", "the output of head is longer than 65536", ""),
        ("command:head -c 9000000000 /dev/zero", "AF574", "the output of head is longer than 65536", ""),
        ("command:printf '\\377'", "AF574", "the output of printf is not UTF-8 text", ""),
    ],
)
def test_a_program_that_gives_no_secret(text: str, code: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as raised:
        fetched(text)
    assert raised.value.code == code
    assert raised.value.message.startswith(message)
    assert raised.value.hint.startswith(hint)
    assert CANARY not in raised.value.message


def test_a_program_that_waits_for_ever_is_killed_with_its_children(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(value_providers, "COMMAND_SECONDS", 1)
    pids = tmp_path / "pids"
    with pytest.raises(ConfigError, match=r"sh did not end within 1 s") as raised:
        fetched(f"command:sh -c 'sleep 600 & echo $! > {pids}; wait'")
    assert raised.value.code == "AF572"
    wait_until(lambda: not _is_alive(int(pids.read_text())))


def test_a_daemon_that_keeps_the_pipe_open_is_not_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(value_providers, "COMMAND_SECONDS", 20)
    code = (
        "import subprocess; "
        'print("' + CANARY + '", flush=True); '
        'subprocess.Popen(["sleep", "25"], start_new_session=True)'
    )
    began = time.monotonic()
    assert fetched(script(code)) == CANARY
    assert time.monotonic() - began < 20


def _is_alive(pid: int) -> bool:
    """Whether a process runs; one that was killed may still be a zombie, for nobody reaps it here."""
    try:
        os.kill(pid, signal.SIGCONT)
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (ProcessLookupError, FileNotFoundError):
        return False


class DrawerKeyring(keyring.backend.KeyringBackend):
    """A keyring in memory, behind the real library."""

    priority = 1

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # the library has no types there
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, username: str) -> str | None:
        if service == "locked":
            raise keyring.errors.KeyringLocked(CANARY)
        return self.kept.get((service, username))

    def set_password(self, service: str, username: str, password: str) -> None:
        self.kept[service, username] = password


@pytest.fixture
def drawer() -> Iterator[DrawerKeyring]:
    before, mine = keyring.get_keyring(), DrawerKeyring()
    keyring.set_keyring(mine)
    yield mine
    keyring.set_keyring(before)


def test_an_entry_of_the_keyring_whose_service_may_hold_slashes(drawer: DrawerKeyring) -> None:
    keyring.set_password("https://vault/db", "etl", CANARY)
    assert fetched("keyring:https://vault/db/etl") == CANARY
    assert drawer.kept


def test_a_keyring_without_the_entry_or_locked(drawer: DrawerKeyring) -> None:
    with pytest.raises(ConfigError, match="the keyring has no secret of 'etl' for 'db'") as raised:
        fetched("keyring:db/etl")
    assert (raised.value.code, raised.value.hint) == ("AF573", "keyring set db etl")
    with pytest.raises(ConfigError, match="the keyring cannot be read: KeyringLocked") as raised:
        fetched("keyring:locked/etl")
    assert CANARY not in str(raised.value)
    assert drawer.kept == {}


def test_a_machine_without_a_keyring(drawer: DrawerKeyring) -> None:
    keyring.set_keyring(keyring.backends.fail.Keyring())  # type: ignore[no-untyped-call]  # as above
    with pytest.raises(ConfigError, match="this machine has no keyring") as raised:
        fetched("keyring:db/etl")
    assert "file:" in raised.value.hint
    assert drawer.kept == {}


def test_without_the_library_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(MissingExtra, match="needs the package 'keyring'") as raised:
        fetched("keyring:db/etl")
    assert raised.value.hint == "pip install 'aetherflow[keyring]'"
