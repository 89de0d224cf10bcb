"""A cluster over SSH: a real sshd starts the workers, and they end with their connection."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from aetherflow_dask.clusters.options import SshOptions
from aetherflow_dask.clusters.ssh import Host, hosts_of, ssh_cluster
from aetherflow_dask.clusters.worker_command import WorkerCommand
from aetherflow_dask.opening import opened
from aetherflow_dask.options import DaskOptions

from aetherflow import ExecutorError, WorkerFacts, __version__
from tests.polling import wait_until
from tests.servers.openssh import OpenSsh, needs_openssh, new_key, openssh

WORKERS = WorkerCommand(threads=1, labels=("far",))

STAND_IN = """\
#!/bin/sh
# Notes its command line and what it reads, says that it is there, and ends when its standard input does.
echo "$@" > {folder}/$$.words
echo $$ >> {folder}/started
echo '{{"level": "info", "message": "I am here"}}'
cat > {folder}/$$.read
echo $$ >> {folder}/ended
"""


@pytest.fixture(scope="module")
def sshd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    """An sshd on loopback that knows our key."""
    with openssh(tmp_path_factory.mktemp("sshd")) as server:
        yield server


def options(sshd: OpenSsh, folder: Path, command: str, **more: Any) -> SshOptions:
    """Return options that log in there."""
    known = folder / "known_hosts"
    known.write_text(f"[127.0.0.1]:{sshd.port} {' '.join(sshd.host_key.split()[:2])}\n")
    place = f"{sshd.user}@127.0.0.1:{sshd.port}"
    given: dict[str, Any] = {"hosts": [place], "key": str(sshd.user_key), "known_hosts": str(known)} | more
    return SshOptions(command=command, scheduler_host="127.0.0.1", **given)


def failure(given: SshOptions) -> tuple[str, str]:
    """Return the code and the message with which a cluster of these options does not start."""

    async def work() -> None:
        async with ssh_cluster(given, WORKERS, None, lambda *_: None):
            await anyio.sleep_forever()

    with pytest.raises(ExecutorError) as caught:
        anyio.run(work)
    return caught.value.code, caught.value.message


@pytest.mark.parametrize(
    ("entry", "host"),
    [
        ("loader1", Host("loader1", "loader1", "ann")),
        ("bob@loader1", Host("loader1", "loader1", "bob")),
        ("bob@loader1:2222", Host("loader1", "loader1", "bob", 2222)),
        ("10.0.0.7:22", Host("10.0.0.7", "10.0.0.7", "ann", 22)),
        ("[fe80::1]:22", Host("fe80::1", "fe80::1", "ann", 22)),
        ("fe80::1", Host("fe80::1", "fe80::1", "ann")),
    ],
)
def test_an_entry_names_a_host(entry: str, host: Host) -> None:
    assert list(hosts_of(SshOptions(hosts=[entry], user="ann"))) == [host]


def test_a_host_that_is_named_twice_has_two_workers() -> None:
    assert [host.name for host in hosts_of(SshOptions(hosts=["a", "b", "a"]))] == ["a", "b", "a-2"]


def test_what_is_no_host_is_told() -> None:
    assert failure(SshOptions(hosts=["a:b@"])) == ("AF834", "'a:b@' is no host for a worker")


@needs_openssh
def test_workers_get_their_certificates_and_end_with_the_block(sshd: OpenSsh, tmp_path: Path) -> None:
    command = tmp_path / "aetherflow"
    command.write_text(STAND_IN.format(folder=tmp_path))
    command.chmod(0o755)
    given = options(sshd, tmp_path, str(command))
    given = options(sshd, tmp_path, str(command), hosts=given.hosts * 2, project="/srv/my flows")
    said: list[tuple[str, str]] = []

    async def work() -> str:
        both = anyio.Event()

        def log(level: str, text: str) -> None:
            said.append((level, text))
            if len(said) == len(given.hosts):
                both.set()

        async with ssh_cluster(given, WORKERS, None, log) as (address, _):
            with anyio.fail_after(60):
                await both.wait()
            return address

    address = anyio.run(work)

    assert sorted(said) == [("info", "127.0.0.1-2: I am here"), ("info", "127.0.0.1: I am here")]
    started = (tmp_path / "started").read_text().split()
    assert sorted((tmp_path / "ended").read_text().split()) == sorted(started)
    (scheduler,) = {(tmp_path / f"{pid}.words").read_text().split()[1] for pid in started}
    assert scheduler == f"tls://127.0.0.1:{address.rpartition(':')[2]}"
    for pid in started:
        assert (
            "--project /srv/my flows --lost-after 30s --label far" in (tmp_path / f"{pid}.words").read_text()
        )
        assert (tmp_path / f"{pid}.read").read_text().startswith('{"ca":"-----BEGIN CERTIFICATE-----')


@needs_openssh
def test_workers_end_when_the_engine_is_killed(sshd: OpenSsh, tmp_path: Path) -> None:
    command = tmp_path / "aetherflow"
    command.write_text(STAND_IN.format(folder=tmp_path))
    command.chmod(0o755)
    script = (
        "import anyio, msgspec, os, sys\n"
        "from aetherflow_dask.clusters.options import SshOptions\n"
        "from aetherflow_dask.clusters.ssh import ssh_cluster\n"
        "from aetherflow_dask.clusters.worker_command import WorkerCommand\n"
        "async def main():\n"
        "    options = msgspec.json.decode(sys.argv[1], type=SshOptions)\n"
        "    async with ssh_cluster(options, WorkerCommand(threads=1), None, lambda *_: os.abort()):\n"
        "        await anyio.sleep_forever()\n"
        "anyio.run(main)\n"
    )

    async def work() -> int:
        given = msgspec.json.encode(options(sshd, tmp_path, str(command))).decode()
        return (await anyio.run_process([sys.executable, "-c", script, given], check=False)).returncode

    assert anyio.run(work) == -6

    started = (tmp_path / "started").read_text()
    ended = tmp_path / "ended"
    wait_until(lambda: ended.exists() and ended.read_text() == started, "the worker lives on", 60)


@needs_openssh
def test_a_host_without_aetherflow_is_told(sshd: OpenSsh, tmp_path: Path) -> None:
    code, message = failure(options(sshd, tmp_path, "no-such-aetherflow"))

    assert code == "AF834"
    assert message.startswith("the worker on 127.0.0.1 does not start: ")
    assert "no-such-aetherflow" in message


@needs_openssh
def test_another_host_than_the_known_one_is_told(sshd: OpenSsh, tmp_path: Path) -> None:
    given = options(sshd, tmp_path, "true")
    new_key(tmp_path / "other")
    key = (tmp_path / "other.pub").read_text()
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{sshd.port} {' '.join(key.split()[:2])}\n")

    assert failure(given) == (
        "AF834",
        "no worker on 127.0.0.1: SSH: Host key is not trusted for host 127.0.0.1",
    )


@needs_openssh
def test_a_login_that_is_refused_is_told(sshd: OpenSsh, tmp_path: Path) -> None:
    new_key(tmp_path / "strange")

    code, message = failure(options(sshd, tmp_path, "true", key=str(tmp_path / "strange")))

    assert code == "AF834"
    assert message.startswith("no worker on 127.0.0.1: SSH: Permission denied for user")


def test_a_host_where_nobody_listens_is_told() -> None:
    code, message = failure(SshOptions(hosts=["127.0.0.1:1"], scheduler_host="127.0.0.1"))

    assert code == "AF834"
    assert message.startswith("no worker on 127.0.0.1: SSH: ")


@needs_openssh
def test_a_real_worker_joins_the_cluster_and_says_what_it_is(sshd: OpenSsh, tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("aetherflow")
    ssh = options(sshd, tmp_path, str(command), project=str(tmp_path))
    given = DaskOptions(cluster="ssh", ssh=ssh, labels=["far"], resources={"SFTP": 2}, threads=3)
    said: list[str] = []

    async def work() -> list[WorkerFacts]:
        async with opened(given, lambda _, text: said.append(text)) as executor:
            return await executor.workers()

    (facts,) = anyio.run(work)

    assert (facts.place.worker, facts.threads, facts.aetherflow) == ("127.0.0.1", 3, __version__)
    assert (list(facts.labels), facts.resources) == (["far"], {"SFTP": 2})
    waited = "waiting for "  # what is said if it takes a while
    assert next(text for text in said if not text.startswith(waited)).startswith("127.0.0.1: "), said
    wait_until(lambda: not Path(f"/proc/{facts.place.process_id}").exists(), "the worker lives on", 60)
