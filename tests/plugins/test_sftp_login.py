"""How the SFTP connector connects: host keys, logins, jump hosts; each error has its own words."""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from aetherflow_sftp.settings import Login, SftpConfig, jumps
from aetherflow_sftp.sftp_connector import SftpFiles

from aetherflow import ConfigError, MissingExtra, Resource
from aetherflow.registry import Registry
from tests.plugins.sftp_resources import login_error, opened
from tests.polling import eventually
from tests.servers.openssh import needs_openssh, new_key, openssh
from tests.servers.sftp_server import sftp_server
from tests.servers.tcp_proxy import TcpProxy

pytestmark = pytest.mark.asyncio

SESAME, WRONG = "open-sesame", "close-sesame"


async def test_a_known_server_lets_in_with_a_password(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server, opened(server.config()) as box:
        assert await box.stat("/nothing") is None
        entry = await box.stat("/")
        assert entry is not None
        assert entry.is_dir


@pytest.mark.parametrize("kind", ["file", "fingerprint", "line", "home"])
async def test_a_host_key_is_trusted_in_each_way_to_name_it(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with sftp_server(tmp_path) as server:
        line = f"[127.0.0.1]:{server.port} {server.host_key}"
        monkeypatch.setenv("HOME", str(tmp_path / "home"))
        (tmp_path / "home/.ssh").mkdir(parents=True)
        (tmp_path / "known").write_text(f"# comment\nnonsense\n{line}\n")
        named: dict[str, dict[str, Any]] = {
            "file": {"host_key": None, "known_hosts": str(tmp_path / "known")},
            "fingerprint": {"host_key": server.key.get_fingerprint()},
            "line": {"host_key": ["SHA256:other", line]},
            "home": {"host_key": None},
        }
        if kind == "home":
            (tmp_path / "home/.ssh/known_hosts").write_text(line)
        async with opened(server.config(**named[kind])) as box:
            assert await box.exists("/")


async def test_an_unknown_host_key_is_an_error_with_the_line_to_add(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    async with sftp_server(tmp_path / "server") as server:
        error = await login_error(server.config(host_key=None))

        assert error.code == "AF331"
        assert error.kind == "other"
        words = " ".join(server.host_key.split()[:2])
        assert error.message == (
            f"resource 'box': the host key of 127.0.0.1:{server.port} is unknown: "
            f"ssh-ed25519 {server.key.get_fingerprint()}; "
            f"the line for known_hosts is: [127.0.0.1]:{server.port} {words}"
        )
        assert f"add the line to {tmp_path}/.ssh/known_hosts" in error.hint


@pytest.mark.parametrize("kind", ["ssh-ed25519", "ecdsa-sha2-nistp256"])
async def test_a_changed_host_key_is_another_error_also_if_its_type_changed(
    kind: str, tmp_path: Path
) -> None:
    other = asyncssh.generate_private_key(kind).export_public_key().decode()
    async with sftp_server(tmp_path) as server:
        error = await login_error(server.config(host_key=other))

        assert error.code == "AF332"
        assert "shows another host key than config.host_key has: ssh-ed25519 SHA256:" in error.message
        assert " ".join(server.host_key.split()[:2]) in error.message


async def test_a_revoked_host_key_is_not_accepted(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server:
        line = f"[127.0.0.1]:{server.port} {server.host_key}"
        (tmp_path / "known").write_text(f"{line}\n@revoked {line}\n")
        error = await login_error(server.config(host_key=None, known_hosts=str(tmp_path / "known")))

    assert (error.code, "revoked" in error.message) == ("AF332", True)


async def test_without_a_check_of_the_key_there_is_a_caution(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server:
        async with opened(server.config(host_key=None, insecure_host_key=True)) as box:
            assert await box.exists("/")
            checks = {one.subject: one for one in await box.check()}
            (caution,) = box.cautions
        async with opened(server.config()) as careful:
            assert careful.cautions == ()

    assert "the host key of 127.0.0.1:" in caution
    assert checks["host key"].state == "warning"
    assert server.key.get_fingerprint() in checks["host key"].message


async def test_a_wrong_password_says_who_was_rejected_and_what_the_server_says(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, banner="Your account is locked.\nCall 4711.") as server:
        error = await login_error(server.config(password=WRONG))

    assert error.code == "AF333"
    assert error.kind == "other"
    assert "rejects the login of ann with the password" in error.message
    assert error.message.endswith("the server says: Your account is locked. Call 4711.")
    assert "locked" in error.hint
    assert WRONG not in error.message


@needs_openssh
async def test_a_wrong_key_and_a_user_who_may_not_log_in_are_rejected(tmp_path: Path) -> None:
    new_key(tmp_path / "other")
    with openssh(tmp_path / "sshd", "DenyUsers nobody") as server:
        wrong = await login_error(server.config(pkey_path=str(tmp_path / "other")))
        denied = await login_error(server.config(user="nobody"))

    assert (wrong.code, denied.code) == ("AF333", "AF333")
    assert f"rejects the login of {server.user} with the key" in wrong.message
    assert "rejects the login of nobody with the key" in denied.message


@needs_openssh
async def test_a_key_with_a_passphrase(tmp_path: Path) -> None:
    new_key(tmp_path / "locked", passphrase=SESAME)
    with openssh(tmp_path / "sshd") as server:
        (server.folder / "authorized_keys").write_text((tmp_path / "locked.pub").read_text())
        path = str(tmp_path / "locked")
        missing = await login_error(server.config(pkey_path=path))
        wrong = await login_error(server.config(pkey_path=path, passphrase=WRONG))
        public = await login_error(server.config(pkey_path=f"{path}.pub"))
        absent = await login_error(server.config(pkey_path=f"{path}.old"))
        async with opened(server.config(pkey_path=path, passphrase=SESAME)) as box:
            assert await box.exists("/")
        inline = (tmp_path / "locked").read_text().strip()
        async with opened(server.config(pkey_path=None, pkey=inline, passphrase=SESAME)) as box:
            assert await box.exists("/")

    assert {error.code for error in (missing, wrong, public, absent)} == {"AF334"}
    assert missing.message.endswith("is protected by a passphrase, and config.passphrase is not set")
    assert wrong.message.endswith("cannot be decrypted with config.passphrase")
    assert public.message.endswith("is a public key")
    assert absent.message.endswith("cannot be read: No such file or directory")


async def test_a_name_without_an_address_and_a_port_without_a_server() -> None:
    unknown = await login_error({"host": "no-such-host.invalid", "user": "u", "password": "p"})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        refused = await login_error(
            {"host": "127.0.0.1", "port": free.getsockname()[1], "user": "u", "password": "p"}
        )

    assert {(one.code, one.kind) for one in (unknown, refused)} == {("AF330", "connection")}
    assert "the name of the server no-such-host.invalid cannot be resolved" in unknown.message
    assert "refuses the connection: nothing listens on port" in refused.message


async def test_a_server_that_accepts_and_says_nothing_is_left_after_the_timeout() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        start = time.monotonic()
        error = await login_error(
            {"host": "127.0.0.1", "port": port, "user": "u", "password": "p"}, timeout=0.5
        )
        assert time.monotonic() - start < 20

    assert (error.code, error.kind) == ("AF330", "connection")
    assert f"127.0.0.1:{port} did not answer within 0.5 s" in error.message


async def test_what_is_no_ssh_server_is_an_error_before_the_login() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        del reader
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        error = await login_error({"host": "127.0.0.1", "port": port, "user": "u", "password": "p"})

    assert (error.code, error.kind) == ("AF330", "connection")
    assert "broke off before the login" in error.message


async def test_no_common_cipher(tmp_path: Path) -> None:
    async with sftp_server(tmp_path, encryption_algs=["aes256-ctr"]) as server:
        error = await login_error(server.config(ciphers="aes128-gcm@openssh.com"))

    assert error.code == "AF336"
    with pytest.raises(ConfigError, match="names an unknown cipher: rot13"):
        async with opened(server.config(ciphers=["rot13"])) as box:
            await box.exists("/")


async def test_connecting_is_tried_as_often_as_the_option_says(tmp_path: Path) -> None:
    async with sftp_server(tmp_path) as server:
        with TcpProxy(server.port) as proxy:
            proxy.refuse()
            asyncio.get_running_loop().call_later(0.1, proxy.heal)
            retry = {"max_attempts": 5, "backoff_seconds": 0.2}
            async with opened(server.config(port=proxy.port), retry=retry) as box:
                assert await box.exists("/")


async def test_a_jump_host_has_its_own_key_and_login(tmp_path: Path) -> None:
    async with sftp_server(tmp_path / "a") as gate, sftp_server(tmp_path / "b") as server:
        async with opened(server.config(jump=gate.config())) as box:
            assert await box.exists("/")
        assert gate.logins == 1
        unknown = await login_error(server.config(jump=[gate.config(host_key=server.host_key)]))
        rejected = await login_error(server.config(jump=f"ann@127.0.0.1:{gate.port}"))

    assert (unknown.code, f":{gate.port}" in unknown.message) == ("AF332", True)
    assert rejected.code in {"AF331", "AF333"}, "the password is for the server, and not for the gate"


async def test_jump_hosts_are_written_as_ssh_does_and_have_the_key_but_not_the_password() -> None:
    config = SftpConfig(host="h", user="u", pkey="key", password=SESAME, jump="a, bob@b:2222,[::1]:23")

    first, second, third = jumps(config)

    assert (first.host, first.port, first.user, first.pkey, first.password) == ("a", 22, "u", "key", None)
    assert (second.host, second.port, second.user) == ("b", 2222, "bob")
    assert (third.host, third.port) == ("::1", 23)
    with pytest.raises(ConfigError) as caught:
        jumps(SftpConfig(host="h", jump="b:ssh"))
    assert caught.value.hint == "write it as user@host:port"
    own = SftpConfig(host="h", pkey="key", jump=[Login(host="a", user="x", password=WRONG)])
    assert (jumps(own)[0].pkey, jumps(own)[0].password) == (None, WRONG)


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"host": "h"}, "names no user"),
        ({"host": "h", "user": "a", "username": "b"}, "names two users"),
        ({"host": "h", "user": "a", "port": 0}, "port"),
        ({"host": "h", "user": "a", "pasword": "x"}, "unknown field `pasword`"),
        ({"user": "a"}, "missing required field `host`"),
        ({"host": "h", "user": "a", "jump": {"host": "g", "port": "x"}}, "jump"),
    ],
)
async def test_a_config_that_cannot_be_used_is_an_error_when_it_is_opened(
    config: dict[str, Any], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        await SftpFiles.open(Resource("box", "sftp", "asyncssh", config))


async def test_a_host_key_or_known_hosts_that_cannot_be_used(tmp_path: Path) -> None:
    base = {"host": "127.0.0.1", "port": 1, "user": "u", "password": "p"}
    for host_key in ("ssh-ed25519", "other.example.com ssh-ed25519 AAAA", "MD5:00:11"):
        with pytest.raises(ConfigError, match="is no key for it"):
            async with opened({**base, "host_key": host_key}) as box:
                await box.exists("/")
    error = await login_error({**base, "known_hosts": str(tmp_path / "none")})
    assert error.code == "AF335"
    assert "cannot be read: No such file or directory" in error.message


@needs_openssh
async def test_a_user_without_sftp(tmp_path: Path) -> None:
    with openssh(tmp_path / "sshd", subsystem="") as server:
        error = await login_error(server.config())

    assert error.code == "AF338", error.message
    assert "accepts the login, but offers this user no SFTP" in error.message


@needs_openssh
async def test_the_check_shows_key_line_login_rights_and_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    with openssh(tmp_path / "sshd") as server:
        line = f"[127.0.0.1]:{server.port} {' '.join(server.host_key.split()[:2])}"
        async with opened(server.config()) as box:
            good = {one.subject: one for one in await box.check()}
        async with opened(server.config(host_key=None)) as box:
            (unknown,) = await box.check()
        new_key(tmp_path / "other")
        async with opened(server.config(pkey_path=str(tmp_path / "other"))) as box:
            rejected = {one.subject: one for one in await box.check()}
        server.stop()
        async with opened(server.config()) as box:
            (gone,) = await box.check()

    assert {one.state for one in good.values()} <= {"ok", "warning"}
    assert set(good) == {"host key", "login", "read", "free space"}
    assert good["host key"].message.endswith(line)
    assert "(cipher aes128-gcm@openssh.com)" in good["login"].message
    assert (unknown.subject, unknown.state, line in unknown.message) == ("host key", "error", True)
    assert {name: one.state for name, one in rejected.items()} == {"host key": "ok", "login": "error"}
    assert (gone.subject, gone.state) == ("login", "error")


async def test_the_old_name_of_the_driver_is_the_same_connector() -> None:
    assert issubclass(Registry().connector_class("sftp:paramiko"), SftpFiles)


async def test_without_asyncssh_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "asyncssh", None)
    with pytest.raises(MissingExtra, match="needs asyncssh, which is not installed"):
        await SftpFiles.open(Resource("box", "sftp", "asyncssh", {"host": "h", "user": "u"}))


@needs_openssh
async def test_without_a_login_the_keys_of_the_user_are_tried(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    with openssh(tmp_path / "sshd") as server:
        none = await login_error(server.config(pkey_path=None))
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh/config").write_text("Host *\n  Port 1\n")
        server.user_key.rename(tmp_path / ".ssh/id_ed25519")
        async with opened(server.config(pkey_path=None)) as box:
            assert await box.exists("/")

    assert none.code == "AF333"
    assert "with the keys in ~/.ssh and of the agent" in none.message


def is_listening(path: Path) -> bool:
    """Whether a program takes connections there; the file is made a moment before."""
    with socket.socket(socket.AF_UNIX) as probe:
        return probe.connect_ex(str(path)) == 0


@needs_openssh
async def test_an_agent_has_the_key(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    socket_path = tmp_path / "agent"
    agent = subprocess.Popen(["ssh-agent", "-D", "-a", str(socket_path)], stdout=subprocess.DEVNULL)  # noqa: ASYNC220 - a test
    try:
        with openssh(tmp_path / "sshd") as server:
            assert await eventually(lambda: is_listening(socket_path))
            env = {"SSH_AUTH_SOCK": str(socket_path)}
            subprocess.run(["ssh-add", "-q", str(server.user_key)], env=env, check=True)  # noqa: ASYNC221
            async with opened(server.config(pkey_path=None, agent=str(socket_path))) as box:
                assert await box.exists("/")
            monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
            unnamed = await login_error(server.config(pkey_path=None, agent=True))
            gone = await login_error(server.config(pkey_path=None, agent=str(tmp_path / "none")))
            monkeypatch.setenv("SSH_AUTH_SOCK", str(socket_path))
            async with opened(server.config(pkey_path=None, agent=True)) as box:
                assert await box.exists("/")
    finally:
        agent.terminate()
        agent.wait()

    assert "SSH_AUTH_SOCK names no agent" in unnamed.message
    assert (unnamed.code, gone.code) == ("AF334", "AF334")
