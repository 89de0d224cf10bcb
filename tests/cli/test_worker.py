"""`aetherflow worker`: what it is started with. What a worker then does is in `tests/dask`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from aetherflow.cli import worker as command
from aetherflow.cli.main import run_command_line
from aetherflow.sdk.executor import Executor, TlsFiles, WorkerRequest
from tests.cli.command_line import CommandLine


class Recorder(Executor):
    """An executor whose workers do nothing but note what they were started with."""

    options_type = WorkerRequest
    requests: list[WorkerRequest]

    def open(self, options: Any, log: Callable[[str, str], None]) -> Any:
        raise NotImplementedError

    def serve(self, request: WorkerRequest, log: Callable[[str, str], None]) -> int:
        self.requests.append(request)
        log("warning", "I am here")
        return 0


@pytest.fixture
def requests(cli: CommandLine, monkeypatch: pytest.MonkeyPatch) -> list[WorkerRequest]:
    """What workers were started with, in the folder of `cli`."""
    monkeypatch.chdir(cli.folder)
    for name, value in cli.env.items():
        monkeypatch.setenv(name, value)
    Recorder.requests = []
    monkeypatch.setattr(command, "executor_class", lambda name: {"dask": Recorder}[name])
    return Recorder.requests


def test_a_worker_is_started_with_what_the_options_say(requests: list[WorkerRequest]) -> None:
    words = "tcp://engine:8786 --threads 3 --name one --label big --label fast --label big --resource SFTP=2"
    more = "--resource GPU=0.5 --lost-after 10s --give-up-after 2m --listen tcp://10.0.0.7:9000 --work-root w"

    assert run_command_line(["worker", *words.split(), *more.split()]) == 0

    (request,) = requests
    assert request.address == "tcp://engine:8786"
    assert (request.threads, request.name, request.tls) == (3, "one", None)
    assert request.labels == ("big", "fast")
    assert request.resources == {"SFTP": 2, "GPU": 0.5}
    assert (request.lost_after, request.give_up_after) == (10, 120)
    assert request.listen == "tcp://10.0.0.7:9000"
    assert request.folder.endswith("/w")


def test_addresses_of_the_worker_have_the_protocol_of_the_scheduler(requests: list[WorkerRequest]) -> None:
    words = "[::1]:8786 --listen 0.0.0.0:9000 --contact tcp://loader1:9000 --memory-limit 4GiB"

    assert run_command_line(["worker", *words.split()]) == 0

    (request,) = requests
    assert request.address == "tcp://[::1]:8786"
    assert (request.listen, request.contact) == ("tcp://0.0.0.0:9000", "tcp://loader1:9000")
    assert request.memory_limit == str(4 * 2**30)


def test_the_words_of_dask_are_understood(requests: list[WorkerRequest], cli: CommandLine) -> None:
    for name in ("ca", "cert", "key"):
        cli.write(f"{name}.pem", "")
    words = "engine:8786 --nthreads 2 --tls-ca-file ca.pem --tls-cert cert.pem --tls-key key.pem"

    assert run_command_line(["worker", *words.split(), "--death-timeout", "60"]) == 0

    (request,) = requests
    assert (request.address, request.threads, request.give_up_after) == ("tcp://engine:8786", 2, 60)
    names = [str(cli.folder / f"{name}.pem") for name in ("ca", "cert", "key")]
    assert request.tls == TlsFiles(*names)


def test_the_variable_of_dask_names_the_scheduler(
    requests: list[WorkerRequest], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", "tls://dask-scheduler.flows.svc:8786")

    assert run_command_line(["worker"]) == 0

    assert requests[0].address == "tls://dask-scheduler.flows.svc:8786"


def test_a_project_is_a_folder_to_work_in(requests: list[WorkerRequest], cli: CommandLine) -> None:
    cli.write("site/aetherflow.yaml", "version: 1\nsettings: {work_root: files}\n")

    assert run_command_line(["worker", "tcp://engine:8786", "--project", "site"]) == 0

    assert requests[0].folder == str(cli.folder / "site" / "files")


def test_the_lines_of_a_worker_may_be_json(
    requests: list[WorkerRequest], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["worker", "tcp://engine:8786"]) == 0
    assert capfd.readouterr().err.endswith("warning: I am here\n")

    assert run_command_line(["worker", "tcp://engine:8786", "--log-format", "json"]) == 0
    line = json.loads(capfd.readouterr().out)
    assert (line["level"], line["event"], line["message"]) == ("warning", "worker", "I am here")
    assert len(requests) == 2


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("", "name the scheduler: aetherflow worker tls://HOST:8786"),
        ("engine", "engine: write the address of the scheduler as tcp://HOST:PORT or tls://HOST:PORT"),
        ("http://engine:80", "http://engine:80: write the address of the scheduler as tcp://HOST:PORT"),
        ("engine:1 --scheduler-file s.json", "ADDRESS and --scheduler-file both name the scheduler"),
        ("engine:1 --tls-ca ca.pem", "--tls-ca, --tls-cert and --tls-key belong together: give all three"),
        ("engine:1 --tls-ca a --tls-cert b --tls-key c", "/a cannot be read"),
        ("engine:1 --threads 0", "--threads 0: it must be at least 1"),
        ("engine:1 --threads -3", "--threads -3: it must be at least 1"),
        ("engine:1 --resource SFTP", "--resource SFTP: write it as NAME=N, such as SFTP=2"),
        ("engine:1 --resource SFTP=x", "--resource SFTP=x: write it as NAME=N, such as SFTP=2"),
        ("engine:1 --resource SFTP=0", "--resource SFTP=0: the number must be above zero"),
        ("engine:1 --resource SFTP=nan", "--resource SFTP=nan: the number must be above zero"),
        ("engine:1 --lost-after soon", "--lost-after: 'soon' is no duration"),
        ("engine:1 --lost-after 0s", "--lost-after 0s: it must be above zero"),
        ("engine:1 --lost-after 1s", "--lost-after 1s: it must be at least 5 s"),
        ("engine:1 --give-up-after 0s", "--give-up-after 0s: it must be above zero"),
        ("engine:99999", "engine:99999: write the address of the scheduler as tcp://HOST:PORT"),
        ("engine:0", "engine:0: write the address of the scheduler as tcp://HOST:PORT"),
        ("engine:abc", "engine:abc: write the address of the scheduler as tcp://HOST:PORT"),
        ("engine:1 --label a,b", "--label a,b: it is one label, without a comma"),
        ("engine:1 --label a,b", "hint: write --label a --label b"),
        ("engine:1 --label=", "--label '': write the name that runs_on has, as --label big"),
        ("engine:1 --resource A=1,B=2", "such as SFTP=2; for several, repeat the option"),
        ("engine:1 --resource A=1 --resource A=2", "--resource A=2: A was given before, as 1"),
        (
            "engine:1 --listen foo",
            "--listen foo: write it with host and port, as --listen tcp://10.0.0.7:9000",
        ),
        ("engine:1 --listen tcp://:x", "--listen tcp://:x: write it with host and port"),
        ("engine:1 --listen 10.0.0.7", "--listen 10.0.0.7: write it with host and port"),
        ("engine:1 --contact foo", "--contact foo: write it with host and port, as --contact tcp://10.0.0.7"),
        (
            "engine:1 --listen tls://0.0.0.0:1",
            "the scheduler at tcp://engine:1 is reached by tcp, and so are",
        ),
        ("engine:1 --listen tls://0.0.0.0:1", "hint: write --listen tcp://0.0.0.0:1"),
        ("engine:1 --memory-limit lots", "--memory-limit: 'lots' is no size"),
        ("engine:1 --memory-limit 4", "--memory-limit 4: a worker would take no step with so little"),
        ("engine:1 --executor local", "--executor local: it has no workers"),
        ("engine:1 --work-root /proc/nowhere", "--work-root /proc/nowhere: No such file or directory"),
        ("engine:1 --log-format xml", "--log-format xml: it is text or json"),
        ("engine:1 --project nowhere", "--project nowhere: No such file or directory"),
        ("engine:1 --project nowhere/at/all", "--project nowhere/at/all: No such file or directory"),
    ],
)
def test_a_mistake_in_the_options_is_named(
    words: str, message: str, requests: list[WorkerRequest], capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_command_line(["worker", *words.split()]) == 2

    assert message in capfd.readouterr().err
    assert requests == []
