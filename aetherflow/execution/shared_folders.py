"""Check that all workers see the folders of a run, before it begins: `artifacts: shared`.

A token is written into the root of the workspace; every worker reads it and writes one back. The folder of
the flow is compared by its file. A folder of the same name on another machine passes neither.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import anyio
import msgspec

from aetherflow.errors import ConfigError
from aetherflow.execution.published_files import file_threads
from aetherflow.file_access import FileAccess, make_folder, open_file
from aetherflow.sdk.executor import OpenExecutor, WorkerFacts

ANSWER_SECONDS = 60.0
"""How long all workers together may take to answer."""

NAMED_AT_MOST = 5


class LookAtFolders(msgspec.Struct, frozen=True, tag="look_at_folders"):
    """Say whether these folders are here, and write a token back.

    Attributes:
        folder: the root of the workspace.
        file: the name of the token in it.
        token: what is in that file.
        flow_file: the file of the flow; empty: there is none.
        digest: its checksum.
    """

    folder: bytes
    file: str
    token: str
    flow_file: bytes = b""
    digest: str = ""


class Looked(msgspec.Struct, frozen=True, tag="looked", omit_defaults=True):
    """What a worker has seen.

    Attributes:
        problem: what is not as it should be; else empty.
        path: which path that is about.
        written: the name of the file that it wrote into the root of the workspace.
    """

    problem: str = ""
    path: bytes = b""
    written: str = ""


def look(question: LookAtFolders) -> Looked:
    """Answer the question on a worker; blocking."""
    folder = Path(os.fsdecode(question.folder))
    try:
        if (folder / question.file).read_text() != question.token:
            return Looked("another file is there than the engine wrote", question.folder)
        written = f"{question.file}.{os.urandom(4).hex()}"
        with open_file(folder / written, "x", "private") as file:
            file.write(question.token[::-1])
    except (OSError, UnicodeDecodeError) as error:
        return Looked(_why(error), question.folder)
    if question.flow_file:
        try:
            found = hashlib.sha256(Path(os.fsdecode(question.flow_file)).read_bytes()).hexdigest()
        except OSError as error:
            return Looked(_why(error), question.flow_file, written)
        if found != question.digest:
            return Looked("it is another file there", question.flow_file, written)
    return Looked(written=written)


async def check_shared_folders(
    name: str, executor: OpenExecutor, work_root: Path, flow_file: str, access: FileAccess
) -> None:
    """Check that the workers of an executor see the workspace and the flow.

    Args:
        name: of the executor.
        executor: its connection.
        work_root: the root of the workspace.
        flow_file: the file of the flow; empty: there is none.
        access: who may read what is written.

    Raises:
        ConfigError: a worker does not; it is named, with the path (AF844).
        ExecutorError: the workers cannot be asked.
    """
    question = await file_threads.run(_prepare, work_root, flow_file, access)
    answers: dict[str, bytes] = {}
    try:
        with anyio.move_on_after(ANSWER_SECONDS):
            answers = await executor.ask(msgspec.json.encode(question))
        looked = {worker: msgspec.json.decode(answer, type=Looked) for worker, answer in answers.items()}
        found = await file_threads.run(_compare, question, looked)
        silent = [one for one in await executor.workers() if one.place.worker not in answers]
    finally:
        with anyio.move_on_after(ANSWER_SECONDS, shield=True):
            await file_threads.run(_remove, question)
    problems = [*_in_words(found, await executor.workers()), *(f"{_named(one)}: no answer" for one in silent)]
    if problems:
        more = len(problems) - NAMED_AT_MOST
        lines = problems[:NAMED_AT_MOST] + ([f"and {more} more workers"] if more > 0 else [])
        raise ConfigError(
            f"the executor {name!r} has artifacts: shared, but workers do not see the folders of the run:\n"
            + "\n".join(lines),
            hint="mount the folder there by the same path, let the work root be a folder that all see, "
            "or use artifacts: ship",
            code="AF844",
        )


def _prepare(work_root: Path, flow_file: str, access: FileAccess) -> LookAtFolders:
    """Write the token.

    Raises:
        ConfigError: it cannot be written.
    """
    token = os.urandom(16).hex()
    name = f".aetherflow-{os.urandom(8).hex()}"
    digest = ""
    try:
        make_folder(work_root, access)
        with open_file(work_root / name, "x", access) as file:
            file.write(token)
        if flow_file:
            digest = hashlib.sha256(Path(flow_file).read_bytes()).hexdigest()
    except OSError as error:
        raise ConfigError(
            f"cannot check the folders of the run: {error.filename or work_root}: {error.strerror or error}",
            hint="make room, or correct the permissions",
            code="AF844",
        ) from None
    return LookAtFolders(os.fsencode(work_root), name, token, os.fsencode(flow_file), digest)


def _compare(question: LookAtFolders, looked: dict[str, Looked]) -> dict[str, Looked]:
    """Return the answers of workers that do not see the folders, or whose files this machine does not see."""
    folder = Path(os.fsdecode(question.folder))
    found = {}
    for worker, answer in looked.items():
        if answer.problem:
            found[worker] = answer
            continue
        name, problem = answer.written, ""
        try:
            if not name.startswith(f"{question.file}.") or "/" in name:
                problem = "it wrote another file than it should"
            elif (folder / name).read_text() != question.token[::-1]:
                problem = "what it writes there is not what the engine reads"
        except (OSError, UnicodeDecodeError) as error:
            problem = f"what it writes there cannot be read here: {_why(error)}"
        if problem:
            found[worker] = Looked(problem, question.folder)
    return found


def _remove(question: LookAtFolders) -> None:
    for file in Path(os.fsdecode(question.folder)).glob(f"{question.file}*"):
        with suppress(OSError):  # a small file that harms nobody
            file.unlink()


def _in_words(found: dict[str, Looked], workers: Iterable[WorkerFacts]) -> Iterable[str]:
    names = {one.place.worker: _named(one) for one in workers}
    for worker, looked in sorted(found.items()):
        yield f"{names.get(worker, worker)}: {os.fsdecode(looked.path)}: {looked.problem}"


def _named(facts: WorkerFacts) -> str:
    return f"{facts.place.worker} ({facts.place.host})"


def _why(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or str(error)) if isinstance(error, OSError) else "it is no text"
