"""What the page `executors` says about a cluster of machines, done on this one."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.cli.command_line import CommandLine
from tests.manual.documents import MANUAL, blocks
from tests.polling import wait_until
from tests.servers.ends_with_tests import ENDS_WITH_THE_TESTS
from tests.servers.free_port import free_port

PAGE = (MANUAL / "executors.md").read_text(encoding="utf-8")
SECONDS = 60.0


@contextmanager
def running(cli: CommandLine, script: str, log: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a command of the page in a block, and end it as its page says: by SIGTERM."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*ENDS_WITH_THE_TESTS, "bash", "-c", f"exec env {script}"],
            cwd=cli.folder,
            env=cli.env,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(SECONDS)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait(SECONDS)


def test_a_cluster_is_started_as_the_page_says(cli: CommandLine) -> None:
    port = free_port()
    here = PAGE.replace("tls://engine:8786", f"tls://127.0.0.1:{port}").replace(
        "--port 8786", f"--host 127.0.0.1 --port {port}"
    )
    certificates, scheduler, worker, then = (block.text for block in blocks(here, "sh"))
    for block in blocks(here, "yaml"):
        if block.file.startswith("cluster/"):
            cli.write(block.file, block.text)
    made = cli.bash(certificates)
    assert made.code == 0, made.err
    said = cli.folder / "worker.log"

    with (
        running(cli, scheduler, cli.folder / "scheduler.log"),
        running(cli, worker, said) as process,
    ):
        wait_until(lambda: b"\n" in said.read_bytes() or process.poll() is not None, "no worker", SECONDS)
        done = cli.bash(then.replace("\naetherflow run", " && aetherflow run"))

    assert done.code == 0, done.out + done.err
    assert "ok       executor dask: 1 worker on 1 host; 8 steps at once\n" in done.out
    assert "ok       executor dask: encryption: " in done.out
    assert "; 8 steps at once; label big, SFTP: 2; " in done.out
    assert "copy  external.process runs on dask:loader1@" in done.err
    assert "of load  SUCCESS" in done.err
    assert process.returncode == 0
    lines = said.read_text().splitlines()
    assert f"loader1 runs 8 steps at once for the scheduler at tls://127.0.0.1:{port}; label big" in lines[0]
    assert lines[-1].endswith("the worker has stopped")


def test_a_worker_without_a_good_certificate_is_refused(cli: CommandLine) -> None:
    port = free_port()
    certificates, scheduler, worker, _ = (block.text for block in blocks(PAGE, "sh"))
    assert cli.bash(certificates).code == 0
    assert cli.bash(certificates.replace("certs", "other")).code == 0
    scheduler = scheduler.replace("--port 8786", f"--host 127.0.0.1 --port {port}")
    worker = worker.replace("tls://engine:8786", f"tls://127.0.0.1:{port}").replace("certs/", "other/")
    log = cli.folder / "scheduler.log"

    with running(cli, scheduler, log):
        wait_until(lambda: b"Scheduler at" in log.read_bytes(), "no scheduler", SECONDS)
        refused = cli.bash(f"{worker.rstrip()} --give-up-after 2s")

    assert refused.code == 75
    assert "error[AF883]: the scheduler at tls://127.0.0.1:" in refused.err
    assert "correct the address and the certificates" in refused.err
