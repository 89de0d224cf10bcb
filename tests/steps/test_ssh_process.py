"""The step `ssh.process` on a real sshd: quoting, streams, limits, and what ends on the other host."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import anyio
import pytest
from aetherflow_sftp.sftp_connector import SftpFiles
from aetherflow_sftp.ssh_programs import _SshProgram

from aetherflow import Resource, StepError
from aetherflow.clock import SystemClock
from aetherflow.events.run_events import StepOutput
from aetherflow.steps.ssh_process import ssh_process
from aetherflow.testing import FakeRun, run_step
from aetherflow.transfer.local_files import LocalFiles
from tests.polling import eventually, wait_until
from tests.servers.openssh import OpenSsh, needs_openssh, openssh
from tests.servers.tcp_proxy import TcpProxy
from tests.steps.process_context import limits_pass_after

pytestmark = [pytest.mark.asyncio, needs_openssh]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenSsh]:
    with openssh(tmp_path_factory.mktemp("sshd") / "server") as running:
        yield running


class Host:
    """The other host, and a run whose steps reach it."""

    def __init__(self, folder: Path, connector: SftpFiles) -> None:
        self.connector = connector
        self.run = FakeRun(folder, connectors={"host": connector}, clock=SystemClock(), secrets=["hush-hush"])

    async def process(self, *command: str, **inputs: Any) -> dict[str, Any]:
        """Run a program there with captured streams; return the outputs."""
        log = {"stdout": "capture", "stderr": "capture"}
        inputs = {"resource": "host", "command": list(command), "log": log, **inputs}
        return (await run_step(ssh_process, inputs, self.run)).outputs

    async def sh(self, script: str, **inputs: Any) -> dict[str, Any]:
        """Run a script there by `sh -c`."""
        return await self.process("sh", "-c", script, **inputs)


@asynccontextmanager
async def reached(folder: Path, server: OpenSsh, **config: Any) -> AsyncIterator[Host]:
    connector = await SftpFiles.open(
        Resource("host", "sftp", "asyncssh", server.config(**config), {"timeout": 5})
    )
    try:
        yield Host(folder, connector)
    finally:
        await connector.aclose()


def is_running(pid: int) -> bool:
    """Whether a process is there and is no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def assert_ended(*pids: int) -> None:
    """Wait until processes have ended."""
    wait_until(lambda: not any(map(is_running, pids)), "the processes have ended")


async def test_words_reach_the_program_as_they_are(tmp_path: Path, server: OpenSsh) -> None:
    words = ["a b", "", "it's", '"x"', "$HOME", "`id`", "*", "\\n", "ä→", "two\nlines", "-n", "!", "%s"]
    async with reached(tmp_path, server) as host:
        given = await host.process("printf", "%s|", *words)

    assert given["stdout"] == "".join(f"{word}|" for word in words)
    assert (given["exit_code"], given["stderr"]) == (0, "")
    assert given["host"] == f"127.0.0.1:{server.port}"


async def test_the_environment_the_folder_and_stdin(tmp_path: Path, server: OpenSsh) -> None:
    env = {"A": "1 2", "B": "it's $A", "C": None, "D": "two\nlines"}
    async with reached(tmp_path, server) as host:
        given = await host.sh(
            'pwd; printf "%s/" "$A" "$B" "$C" "$D" "$AETHERFLOW_RUN_ID"; cat',
            env=env,
            cwd=str(server.root),
            stdin="from\nstdin",
        )

    assert given["stdout"] == f"{server.root}\n1 2/it's $A//two\nlines/run-1/from\nstdin"


async def test_a_command_line_needs_shell(tmp_path: Path, server: OpenSsh) -> None:
    async with reached(tmp_path, server) as host:
        inputs = {"resource": "host", "command": "echo a && echo $((1 + 2))", "shell": True, "parse": "lines"}
        outputs = (await run_step(ssh_process, inputs, host.run)).outputs
        assert outputs["parsed"] == ["a", "3"]

        with pytest.raises(StepError, match="exit code 127") as raised:
            await run_step(ssh_process, {**inputs, "shell": False}, host.run)
    assert "did not find the command" in raised.value.hint


async def test_an_exit_code_a_signal_and_a_wrong_folder_are_failures(tmp_path: Path, server: OpenSsh) -> None:
    async with reached(tmp_path, server) as host:
        with pytest.raises(StepError, match=r"exit code 3: .*127\.0\.0\.1:\d+: sh -c ") as raised:
            await host.sh("echo 'no such table' >&2; exit 3")
        assert "no such table" in raised.value.message
        assert raised.value.kind == "exit_code"
        with pytest.raises(StepError, match="killed by SIGKILL"):
            await host.sh("kill -9 $$")
        with pytest.raises(StepError, match="exit code 126") as raised:
            await host.sh("true", cwd="/nowhere at all")
        assert "/nowhere at all" in raised.value.message
        assert "the folder /nowhere at all is there" in raised.value.hint
        given = await host.sh("exit 3", success={"exit_codes": [0, 3]})
    assert given["exit_code"] == 3


async def test_much_output_and_much_input_pass_in_bounded_memory(tmp_path: Path, server: OpenSsh) -> None:
    text = "0123456789abcdef" * 65536  # 1 MiB
    async with reached(tmp_path, server) as host:
        given = await host.sh(
            "wc -c; dd if=/dev/zero bs=1M count=20 2>/dev/null | tr '\\0' x; echo; echo error >&2",
            stdin=text,
            log={"stdout": "file", "stderr": "capture", "file_path": "out.txt", "max_capture_kb": 1},
        )
        written = await anyio.Path(given["log_file"]).read_text()

    assert written == f"{len(text)}\n{'x' * 20 * 1024 * 1024}\n"
    assert given["stderr"] == "error"


async def test_lines_are_shown_while_it_runs_and_secrets_are_masked(tmp_path: Path, server: OpenSsh) -> None:
    def shown() -> list[str]:
        return [event.text for event in host.run.events if isinstance(event, StepOutput)]

    async with reached(tmp_path, server) as host, anyio.create_task_group() as tasks:
        script = "echo first hush-hush; while [ ! -e go ]; do sleep 0.05; done; echo last"
        tasks.start_soon(partial(host.sh, script, cwd=str(server.root)))
        await eventually(lambda: shown() == ["first ***"])
        (server.root / "go").touch()

    assert shown() == ["first ***", "last"]


async def test_a_timeout_ends_the_process_group(tmp_path: Path, server: OpenSsh) -> None:
    pids = tmp_path / "pids"
    async with reached(tmp_path, server) as host:
        began = time.monotonic()
        with (
            limits_pass_after(lambda: pids.exists() and len(pids.read_text().split()) == 2, _SshProgram),
            pytest.raises(StepError, match=r"not finished after 1 s, so it was ended") as raised,
        ):
            await host.sh(
                f"sleep 300 & trap '' TERM; echo $! $$ > {pids}; sleep 300; sleep 300",
                timeout_seconds=1,
                kill_grace_seconds=1,
            )
        assert raised.value.kind == "timeout"

    assert time.monotonic() - began < 20
    assert_ended(*map(int, pids.read_text().split()))


async def test_a_cancelled_step_ends_the_process_group(tmp_path: Path, server: OpenSsh) -> None:
    pids = tmp_path / "pids"
    async with reached(tmp_path, server) as host:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(partial(host.sh, f"sleep 300 & echo $! $$ > {pids}; wait"))
            await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 2)
            tasks.cancel_scope.cancel()
        assert_ended(*map(int, pids.read_text().split()))
        assert (await host.sh("echo again"))["stdout"] == "again"


@pytest.mark.parametrize("way", ["cut", "killed"])
async def test_a_lost_connection_is_no_success_and_ends_the_program(
    tmp_path: Path, server: OpenSsh, way: str
) -> None:
    pids = tmp_path / "pids"
    with TcpProxy(server.port) as proxy:
        async with reached(tmp_path, server, port=proxy.port) as host:
            failures: list[StepError] = []

            async def run() -> None:
                with pytest.raises(StepError) as raised:
                    await host.sh(f"sleep 300 & echo $! $$ $PPID > {pids}; wait", kill_grace_seconds=1)
                failures.append(raised.value)

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                await eventually(lambda: pids.exists() and len(pids.read_text().split()) == 3)
                *programs, sshd = map(int, pids.read_text().split())
                if way == "cut":
                    proxy.cut()
                else:
                    os.kill(sshd, signal.SIGKILL)

            assert "was lost while the program ran" in failures[0].message
            assert (failures[0].kind, failures[0].code) == ("connection", "AF360")
            assert_ended(*programs)


async def test_what_a_program_leaves_ends_unless_it_may_run_on(tmp_path: Path, server: OpenSsh) -> None:
    script = "sleep 300 > /dev/null 2>&1 & echo $!"
    async with reached(tmp_path, server) as host:
        pid = int((await host.sh(script, kill_grace_seconds=1))["stdout"])
        assert_ended(pid)
        pid = int((await host.sh(script, leave_running=True))["stdout"])
        assert is_running(pid)
        os.kill(pid, signal.SIGKILL)


async def test_the_program_continues_the_trace_of_the_run(tmp_path: Path, server: OpenSsh) -> None:
    async with reached(tmp_path, server) as host:
        given = await host.sh("echo $TRACEPARENT")
        own = await host.sh("echo $TRACEPARENT", env={"TRACEPARENT": "mine"})

    expected = host.run.context(job_id="job", step_id="step").trace_variables["TRACEPARENT"]
    assert given["stdout"] == expected
    assert own["stdout"] == "mine"


async def test_variables_are_not_in_the_list_of_processes(tmp_path: Path, server: OpenSsh) -> None:
    async with reached(tmp_path, server) as host:
        # no secret of the run, so it would be seen; and no text that the processes of other tests have
        token = f"token-{uuid4().hex}"
        script = 'cat /proc/$PPID/cmdline /proc/$$/cmdline; ps -ef; test -n "$TOKEN"'
        given = await host.sh(script, env={"TOKEN": token})

    assert f"sh\0-c\0{script}" in given["stdout"]
    assert token not in given["stdout"]


async def test_an_account_without_a_shell_is_named(tmp_path: Path) -> None:
    with openssh(tmp_path / "sftp_only", "ForceCommand internal-sftp") as server:
        async with reached(tmp_path, server) as host:
            with pytest.raises(StepError, match="does not start programs") as raised:
                await host.sh("true")
    assert raised.value.code == "AF361"
    assert "SFTP only" in raised.value.hint


async def test_a_server_with_one_session_per_connection_is_named(tmp_path: Path) -> None:
    with openssh(tmp_path / "one", "MaxSessions 1") as server:
        async with reached(tmp_path, server) as host:
            with pytest.raises(StepError, match="opens no session for a program") as raised:
                await host.sh("true")
    assert raised.value.code == "AF363"


async def test_a_resource_that_runs_no_programs_is_named(tmp_path: Path) -> None:
    files = await LocalFiles.open(Resource("host", "file", "local", {"path": str(tmp_path)}))

    with pytest.raises(StepError, match="resource 'host' runs no programs") as raised:
        await run_step(
            ssh_process, {"resource": "host", "command": ["true"]}, tmp_path, connectors={"host": files}
        )
    assert raised.value.code == "AF362"
