"""The files of an attempt on a worker get their names only from the engine, while the attempt counts."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import anyio
import anyio.from_thread
import anyio.lowlevel
import anyio.to_thread
import msgspec
import pytest

from aetherflow.errors import StepError
from aetherflow.execution.file_messages import PublishFile
from aetherflow.execution.ports import Directories
from aetherflow.execution.published_files import PublishedFiles
from aetherflow.sdk.files import Publisher, Way, atomic_write, publisher
from aetherflow.sdk.publishing import publish
from aetherflow.sdk.removal import make_own
from aetherflow.transfer.local_io import rename_file
from aetherflow.worker.published_files import EnginePublisher

pytestmark = pytest.mark.asyncio


def directories(work: Path, allowed: list[str] | None = None) -> Directories:
    return Directories(str(work), str(work / "logs"), {"artifacts": "artifacts"}, allowed=allowed)


@contextmanager
def published_by(one: Publisher) -> Iterator[None]:
    token = publisher.set(one)
    try:
        yield
    finally:
        publisher.reset(token)


def through(files: PublishedFiles) -> EnginePublisher:
    """Return the publisher of a worker in another thread of this process; what passes is JSON."""
    loop = anyio.lowlevel.current_token()

    def ask(question: Any) -> Any:
        sent = msgspec.json.decode(msgspec.json.encode(question), type=PublishFile)
        answer = anyio.from_thread.run(files.publish, sent, token=loop)
        return msgspec.json.decode(msgspec.json.encode(answer))

    return EnginePublisher(ask)


async def in_thread(function: Callable[[], Any]) -> Any:
    return await anyio.to_thread.run_sync(function, limiter=anyio.CapacityLimiter(1))


def names_in(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


def write(path: Path, text: str) -> None:
    with atomic_write(path) as temporary:
        temporary.write_text(text)


async def test_the_engine_renames_what_a_worker_writes(tmp_path: Path) -> None:
    seen: list[tuple[bytes, Way]] = []
    files = PublishedFiles(directories(tmp_path))
    inner = through(files)

    def noted(temporary: str, final: str, way: Way) -> bool:
        seen.append((os.fsencode(final), way))
        return inner(temporary, final, way)

    odd = os.fsdecode(b"odd \n \xff.txt")
    with published_by(noted):
        await in_thread(lambda: write(tmp_path / odd, "one"))
        await in_thread(lambda: write(tmp_path / odd, "two"))
    assert (tmp_path / odd).read_text() == "two"
    assert seen == [(os.fsencode(tmp_path / odd), "replace")] * 2
    assert names_in(tmp_path) == [odd]


async def test_a_transfer_names_its_files_through_the_engine(tmp_path: Path) -> None:
    with published_by(through(PublishedFiles(directories(tmp_path)))):
        for number, expected in ((1, True), (2, False)):
            (tmp_path / ".a.1.part").write_text(str(number))
            found = await in_thread(
                lambda: rename_file(str(tmp_path / ".a.1.part"), str(tmp_path / "a"), replace=False)
            )
            assert found is expected
    assert (tmp_path / "a").read_text() == "1"


@pytest.mark.parametrize("way", ["replace", "new", "folder"])
async def test_an_engine_that_takes_over_is_asked_for_what_the_one_before_it_has_renamed(
    tmp_path: Path, way: Way
) -> None:
    first, second = (through(PublishedFiles(directories(tmp_path))) for _ in range(2))

    def asked_twice(question: Any) -> Any:
        first._ask(question)  # it died before its answer came
        return second._ask(question)

    temporary, final = tmp_path / ".a.1.part", tmp_path / "a"
    if way == "folder":
        make_own(temporary, "private")
        (temporary / "made").touch()
    else:
        temporary.write_text("1")
    worker = EnginePublisher(asked_twice)
    assert await in_thread(lambda: worker(str(temporary), str(final), way))
    assert not temporary.exists()
    assert (final / "made").exists() if way == "folder" else final.read_text() == "1"


async def test_a_name_that_must_be_free_is_not_taken_twice(tmp_path: Path) -> None:
    worker = through(PublishedFiles(directories(tmp_path)))
    for number in (1, 2):
        (tmp_path / f".a.{number}.part").write_text(str(number))
    first = await in_thread(lambda: worker(str(tmp_path / ".a.1.part"), str(tmp_path / "a"), "new"))
    second = await in_thread(lambda: worker(str(tmp_path / ".a.2.part"), str(tmp_path / "a"), "new"))
    assert (first, second) == (True, False)
    assert (tmp_path / "a").read_text() == "1"


async def test_a_folder_replaces_another(tmp_path: Path) -> None:
    worker = through(PublishedFiles(directories(tmp_path)))
    new, old = tmp_path / "new", tmp_path / "final"
    make_own(new, "private")
    (new / "b").write_text("b")
    old.mkdir()
    make_own(tmp_path / ".final.replaced", "private")
    (tmp_path / ".final.replaced").rmdir()
    (old / "a").write_text("a")
    with published_by(worker):
        assert await in_thread(lambda: publish(str(new), str(old), "folder"))
    assert [path.name for path in old.iterdir()] == ["b"]
    assert not new.exists()
    assert not (tmp_path / ".final.replaced").exists()


async def test_what_the_engine_does_not_see_is_renamed_by_the_worker(tmp_path: Path) -> None:
    unseen = tmp_path / "disk of the worker"
    (tmp_path / "work").mkdir()
    unseen.mkdir()
    worker = through(PublishedFiles(directories(tmp_path / "work")))
    (unseen / "report.csv").write_text("moved")  # not called as incomplete files are: the engine leaves it
    assert await in_thread(lambda: worker(str(unseen / "report.csv"), str(unseen / "sent.csv"), "new"))
    assert (unseen / "sent.csv").read_text() == "moved"


async def test_the_error_of_the_system_is_that_of_the_worker(tmp_path: Path) -> None:
    worker = through(PublishedFiles(directories(tmp_path)))
    (tmp_path / ".a.1.part").write_text("a")
    (tmp_path / "a").mkdir()
    with pytest.raises(OSError, match="directory") as raised:
        await in_thread(lambda: worker(str(tmp_path / ".a.1.part"), str(tmp_path / "a"), "replace"))
    assert raised.value.errno == errno.EISDIR


async def test_paths_that_are_not_allowed_are_refused(tmp_path: Path) -> None:
    for name in ("work", "allowed", "elsewhere"):
        (tmp_path / name).mkdir()
        (tmp_path / name / ".a.1.part").write_text("a")
    files = PublishedFiles(directories(tmp_path / "work", [str(tmp_path / "allowed")]))
    worker = through(files)

    def rename_in(name: str) -> bool:
        return worker(str(tmp_path / name / ".a.1.part"), str(tmp_path / name / "a"), "replace")

    assert await in_thread(lambda: rename_in("allowed"))
    with pytest.raises(StepError, match="enterprise"):
        await in_thread(lambda: rename_in("elsewhere"))
    assert not (tmp_path / "elsewhere" / "a").exists()
    with pytest.raises(StepError, match="absolute"):
        await files.publish(PublishFile(b"work/.a.1.part", os.fsencode(tmp_path / "work" / "a")))


STOPPED = """
import sys, msgspec
from pathlib import Path
from aetherflow.errors import StepError
from aetherflow.sdk.files import atomic_write, publisher
from aetherflow.worker.published_files import EnginePublisher

def ask(question):
    sys.stdout.buffer.write(msgspec.json.encode(question) + b"\\n")
    sys.stdout.buffer.flush()
    answer = msgspec.json.decode(sys.stdin.buffer.readline())
    if "code" in answer:
        raise StepError(answer["message"], code=answer["code"])
    return answer

publisher.set(EnginePublisher(ask))
for number in range(1000000):
    try:
        with atomic_write(Path(sys.argv[1]), fsync=False) as temporary:
            temporary.write_text(f"late {number}")
    except StepError as error:
        print(error.code, flush=True)
        break
"""


def started(target: Path) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-c", STOPPED, str(target)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)


async def test_a_stopped_process_that_goes_on_gives_no_file_its_name(tmp_path: Path) -> None:
    """The attempt of a worker is given up while it is stopped; another one writes the file meanwhile."""
    target = tmp_path / "report.csv"
    files = PublishedFiles(directories(tmp_path))
    answered = anyio.Event()
    loop = anyio.lowlevel.current_token()
    rest: list[bytes] = []
    worker = started(target)
    assert worker.stdin is not None
    assert worker.stdout is not None
    pipe: IO[bytes] = worker.stdin

    async def answer(line: bytes) -> bytes:
        try:
            done = await files.publish(msgspec.json.decode(line, type=PublishFile))
        except StepError as error:
            return msgspec.json.encode({"code": error.code, "message": error.message})
        if target.exists() and int(target.read_text().split()[1]) > 20:
            answered.set()
        return msgspec.json.encode(done)

    def serve() -> None:
        assert worker.stdout is not None
        for line in worker.stdout:
            if not line.startswith(b"{"):
                rest.append(line)
                continue
            pipe.write(anyio.from_thread.run(answer, line, token=loop) + b"\n")
            pipe.flush()

    server = threading.Thread(target=serve)
    server.start()
    try:
        with anyio.fail_after(60):
            await answered.wait()
            os.kill(worker.pid, signal.SIGSTOP)
            await files.close()
            target.write_text("the one that counts")
            os.kill(worker.pid, signal.SIGCONT)
            await in_thread(worker.wait)
            await in_thread(server.join)
    finally:
        worker.kill()
        worker.wait()
        pipe.close()
        worker.stdout.close()
    assert rest == [b"AF840\n"]
    assert target.read_text() == "the one that counts"
    assert names_in(tmp_path) == ["report.csv"]
