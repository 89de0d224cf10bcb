"""Files that are sent to a worker and back: `artifacts: ship`."""

from __future__ import annotations

import errno
import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aetherflow.errors import ErrorInfo, StepError
from aetherflow.execution import received_outputs
from aetherflow.execution.file_messages import (
    CHUNK_BYTES,
    Chunk,
    ListOutputs,
    ReadInput,
    ShippedFile,
    WriteOutput,
)
from aetherflow.execution.ports import LogLine, StepCall
from aetherflow.execution.worker_messages import Answer
from aetherflow.sdk.context import StepContext
from aetherflow.sdk.executor import Shipping
from aetherflow.sdk.step import StepType
from aetherflow.sdk.step_decorator import step
from aetherflow.steps.external_process import external_process
from tests.worker.engine_double import call_of
from tests.worker.files_double import FilesOfEngine, engine_with_files

Body = Callable[[StepContext, dict[str, Any]], Any]


class Machine:
    """The engine's machine: the folders of a job and of a flow."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.flow = root / "flows"
        self.flow.mkdir()
        self.job = root / "work" / "demo" / "a" / "run-1"
        self.artifacts = self.job / "artifacts"
        self.artifacts.mkdir(parents=True)

    def call(self, step_type: str = "body", **inputs: Any) -> StepCall:
        """Return a call of a step."""
        return call_of(self.root, step_type, inputs, key="run-1/a/s/1")

    def run(
        self,
        body: Body | StepType,
        *,
        limits: Shipping | None = None,
        before: Callable[[Any], Any] | None = None,
        accept: bool = True,
        **inputs: Any,
    ) -> tuple[Answer, ErrorInfo | None, FilesOfEngine]:
        """Run a step; return its answer, what was wrong with its acceptance, and what it asked."""
        kind = body if isinstance(body, StepType) else step("body")(body)
        call = self.call(kind.name, **inputs)
        with engine_with_files(call, kind, flow=self.flow, ships=limits or Shipping()) as found:
            engine, files, run = found
            files.before = before or files.before
            answer = run()
            files.said = [one.message for one in engine.heard if isinstance(one, LogLine)]
            return answer, files.end(accept=accept), files

    def names(self) -> list[str]:
        """Return all that is in the folder of the job."""
        return sorted(str(path.relative_to(self.job)) for path in self.job.rglob("*"))


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def nothing(_context: StepContext, _inputs: dict[str, Any]) -> None:
    pass


def all_below(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_what_a_step_names_is_there_and_what_it_makes_comes_back(machine: Machine) -> None:
    odd = "a b\n\u00e4.csv"
    (machine.artifacts / odd).write_text("content")
    (machine.artifacts / odd).chmod(0o640)
    (machine.artifacts / "not named.csv").write_text("no")
    (machine.artifacts / "folder" / "empty").mkdir(parents=True)
    (machine.artifacts / "folder" / "zero").touch()
    (machine.flow / "query.sql").write_text("select 1")
    os.utime(machine.artifacts / odd, (1_000_000, 1_000_000))

    def body(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        found = all_below(context.artifacts)
        status = context.path(inputs["file"]).stat()
        with context.writing(context.path("out/new.csv")) as part:
            part.write_text("made")
        context.path("out/plain").write_text("made too")
        context.path("out/plain").chmod(0o750)
        (context.artifacts / "empty folder").mkdir()
        return {
            "found": found,
            "mode": status.st_mode & 0o777,
            "mtime": status.st_mtime,
            "sql": Path(inputs["sql"]).read_text(),
            "where": inputs["sql"],
            "to": str(context.path("out/new.csv")),
        }

    sql = str(machine.flow / "query.sql")
    answer, problem, _ = machine.run(body, file=odd, more=["folder"], sql=sql)
    assert (answer.error, problem) == (None, None)
    assert answer.result is not None
    assert answer.result.outputs == {
        "found": [odd, "folder", "folder/empty", "folder/zero"],
        "mode": 0o640,
        "mtime": 1_000_000.0,
        "sql": "select 1",
        "where": sql,
        "to": str(machine.artifacts / "out/new.csv"),
    }
    made = machine.artifacts / "out"
    assert (made / "new.csv").read_text() == "made"
    assert (made / "plain").stat().st_mode & 0o777 == 0o750
    assert (machine.artifacts / "empty folder").is_dir()
    assert (machine.artifacts / "not named.csv").read_text() == "no"
    assert [name for name in machine.names() if "received" in name] == []


def test_only_what_changed_is_sent_back(machine: Machine) -> None:
    for name in ("same", "changed", "touched", "removed"):
        (machine.artifacts / name).write_text(name)

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("changed").write_text("CHANGED")
        status = context.path("touched").stat()
        context.path("touched").write_text("TOUCHED")
        os.utime(context.path("touched"), ns=(status.st_atime_ns, status.st_mtime_ns))
        context.path("removed").unlink()

    _, problem, files = machine.run(body, files=["same", "changed", "touched", "removed"])
    assert problem is None
    [listed] = [ask for ask in files.asked if isinstance(ask, ListOutputs)]
    assert [file.path for file in listed.files] == [b"artifacts/changed", b"artifacts/touched"]
    assert all_below(machine.artifacts) == ["changed", "same", "touched"]
    assert (machine.artifacts / "touched").read_text() == "TOUCHED"


def test_a_step_that_makes_nothing_sends_nothing(machine: Machine) -> None:
    _, problem, files = machine.run(lambda context, _inputs: {"n": str(context.artifacts)})
    assert problem is None
    assert not [ask for ask in files.asked if isinstance(ask, ListOutputs)]


def test_a_removed_file_that_was_written_again_meanwhile_stays(machine: Machine) -> None:
    (machine.artifacts / "a").write_text("a")

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("a").unlink()
        (machine.artifacts / "a").write_text("by another step")

    _, problem, _ = machine.run(body, file="a")
    assert problem is None
    assert (machine.artifacts / "a").read_text() == "by another step"


def test_nothing_gets_its_name_when_the_attempt_does_not_count(machine: Machine) -> None:
    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("a").write_text("a")

    answer, _, _ = machine.run(body, accept=False)
    assert answer.error is None
    assert machine.names() == ["artifacts"]


def test_what_a_failed_step_made_comes_back_too(machine: Machine) -> None:
    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("why.txt").write_text("because")
        raise StepError(f"see {context.path('why.txt')}")

    answer, problem, _ = machine.run(body)
    assert problem is None
    assert answer.error is not None
    assert answer.error.message == f"see {machine.artifacts / 'why.txt'}"
    assert (machine.artifacts / "why.txt").read_text() == "because"


def test_a_program_finds_the_files_in_its_command(machine: Machine) -> None:
    (machine.artifacts / "in.csv").write_text("b\na\n")
    (machine.artifacts / "part 1.csv").write_text("c\n")
    script = machine.flow / "my script.py"
    script.write_text("import sys\nsys.stdout.write(open(sys.argv[1]).read())")
    part = machine.artifacts / "part 1.csv"
    shell = f'sort in.csv > out.csv && "{sys.executable}" "{script}" "{part}" >> out.csv'
    answer, problem, _ = machine.run(external_process, command=["sh", "-c", shell])
    assert (answer.error, problem) == (None, None)
    assert (machine.artifacts / "out.csv").read_text() == "a\nb\nc\n"


def test_the_log_of_an_earlier_step_is_sent(machine: Machine) -> None:
    log = machine.root / "logs" / "run-1" / "b" / "before.1.log"
    log.parent.mkdir(parents=True)
    log.write_text("what b printed")

    def body(context: StepContext, inputs: dict[str, Any]) -> dict[str, Any]:
        context.log_file.parent.mkdir(parents=True)
        context.log_file.write_text("mine")
        text = Path(inputs["attachments"][0]).read_text()
        return {"text": text, "log": str(context.log_file), "before": inputs["attachments"]}

    answer, problem, _ = machine.run(body, attachments=[str(log)])
    assert (answer.error, problem) == (None, None)
    assert answer.result is not None
    mine = machine.root / "logs" / "run-1" / "a" / "s.1.log"
    expected = {"text": "what b printed", "log": str(mine), "before": [str(log)]}
    assert answer.result.outputs == expected
    assert mine.read_text() == "mine"


def test_patterns_name_files(machine: Machine) -> None:
    for name in ("a.csv", "b.csv", "c.txt", "deep/d.csv"):
        path = machine.artifacts / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(name)
    answer, _, _ = machine.run(
        lambda context, _inputs: {"found": all_below(context.artifacts)}, files="*.csv"
    )
    assert answer.result is not None
    assert answer.result.outputs == {"found": ["a.csv", "b.csv"]}


def test_links_stay_inside_or_become_files(machine: Machine) -> None:
    folder = machine.artifacts / "folder"
    folder.mkdir()
    (folder / "a").write_text("a")
    (folder / "inside").symlink_to("a")
    (machine.artifacts / "other").write_text("other")
    (folder / "outside").symlink_to("../other")
    (folder / "nothing").symlink_to("gone")
    (machine.artifacts / "latest").symlink_to("folder/a")

    def body(context: StepContext, _inputs: dict[str, Any]) -> dict[str, Any]:
        there = context.artifacts / "folder"
        (there / "made").symlink_to("a")
        (there / "absolute").symlink_to(there / "a")
        return {
            "links": sorted(path.name for path in there.iterdir() if path.is_symlink()),
            "other": (there / "outside").read_text(),
            "latest": (context.artifacts / "latest").read_text(),
        }

    answer, problem, _ = machine.run(body, files=["folder", "latest"])
    assert (answer.error, problem) == (None, None)
    assert answer.result is not None
    assert answer.result.outputs == {
        "links": ["absolute", "inside", "made", "nothing"],
        "other": "other",
        "latest": "a",
    }
    assert (folder / "absolute").readlink() == Path("a")
    assert (folder / "made").readlink() == Path("a")


def test_a_link_out_of_the_workspace_is_not_followed(machine: Machine, tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    (machine.artifacts / "out").symlink_to(tmp_path / "secret")
    answer, _, _ = machine.run(nothing, file="out")
    assert answer.error is not None
    assert answer.error.code == "AF841"
    assert "file names" in answer.error.message


def test_a_link_out_of_the_job_is_not_sent_back(machine: Machine) -> None:
    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        (context.artifacts / "out").symlink_to("/etc/passwd")

    answer, _, _ = machine.run(body)
    assert answer.error is not None
    assert answer.error.code == "AF842"
    assert machine.names() == ["artifacts"]


def test_too_much_is_refused_on_both_ways(machine: Machine) -> None:
    (machine.artifacts / "large").write_bytes(b"x" * 1001)
    limits = Shipping(bytes=1000, files=10)
    answer, _, _ = machine.run(nothing, file="large", limits=limits)
    assert answer.error is not None
    assert answer.error.code == "AF841"
    assert "more than 1,000 bytes" in answer.error.message
    assert "artifacts: shared" in answer.error.hint

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("made").write_bytes(b"x" * 1001)

    answer, _, _ = machine.run(body, limits=limits)
    assert answer.error is not None
    assert answer.error.code == "AF842"
    assert not (machine.artifacts / "made").exists()

    def many(context: StepContext, _inputs: dict[str, Any]) -> None:
        for number in range(11):
            context.path(f"f{number}").touch()

    answer, _, _ = machine.run(many, limits=limits)
    assert answer.error is not None
    assert answer.error.code == "AF842"


def test_large_files_go_in_pieces(machine: Machine) -> None:
    content = os.urandom(CHUNK_BYTES * 2 + 17)
    (machine.artifacts / "in").write_bytes(content)

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        shutil.copyfile(context.path("in"), context.path("out"))

    _, problem, files = machine.run(body, file="in")
    assert problem is None
    assert (machine.artifacts / "out").read_bytes() == content
    read = [ask.offset for ask in files.asked if isinstance(ask, ReadInput)]
    written = [ask.offset for ask in files.asked if isinstance(ask, WriteOutput)]
    assert read == written == [0, CHUNK_BYTES, 2 * CHUNK_BYTES]


def test_a_file_that_grows_while_it_is_sent_is_an_error(machine: Machine) -> None:
    path = machine.artifacts / "growing"
    path.write_bytes(b"x" * (CHUNK_BYTES + 1))

    def grow(ask: Any) -> None:
        if isinstance(ask, ReadInput) and ask.offset:
            path.write_bytes(b"y" * (CHUNK_BYTES + 2))

    answer, _, _ = machine.run(nothing, file="growing", before=grow)
    assert answer.error is not None
    assert (answer.error.code, answer.error.kind) == ("AF843", "connection")


@pytest.mark.parametrize("kind", [ReadInput, WriteOutput])
def test_damage_on_the_way_is_noticed(machine: Machine, kind: type[Any]) -> None:
    (machine.artifacts / "in").write_text("content")

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("out").write_text("made")

    def damage(ask: Any) -> Any:
        if isinstance(ask, ReadInput) and kind is ReadInput:
            return msgspec.to_builtins(msgspec.structs.replace(Chunk.of(b"content"), data=b"CONTENT"))
        if isinstance(ask, WriteOutput) and kind is WriteOutput:
            return msgspec.structs.replace(ask, chunk=Chunk(b"MADE", ask.chunk.sha256))
        return None

    answer, _, _ = machine.run(body, file="in", before=damage, accept=False)
    assert answer.error is not None
    assert answer.error.code == ("AF843" if kind is ReadInput else "AF842")


def test_a_full_disk_of_the_engine_fails_the_step(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("out").write_text("made")

    monkeypatch.setattr(received_outputs, "_write_all", full)
    answer, problem, _ = machine.run(body, accept=False)
    assert problem is None
    assert answer.error is not None
    assert answer.error.code == "AF842"
    assert "No space left" in answer.error.message
    assert machine.names() == ["artifacts"]


def test_a_full_disk_of_the_worker_fails_the_step(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "there")

    (machine.artifacts / "in").write_text("content")
    monkeypatch.setattr(os, "utime", full)
    answer, _, _ = machine.run(nothing, file="in")
    assert answer.error is not None
    assert answer.error.code == "AF842"
    assert "there: No space left" in answer.error.message


def test_an_attempt_that_was_given_up_gets_and_sends_nothing(machine: Machine) -> None:
    (machine.artifacts / "in").write_text("content")

    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        given_up.end(accept=False)
        context.path("late").write_text("late")

    call = machine.call(file="in")
    with engine_with_files(call, step("body")(body), flow=machine.flow, ships=Shipping()) as found:
        _, given_up, run = found
        answer = run()
    assert answer.error is not None
    assert answer.error.code == "AF840"
    assert machine.names() == ["artifacts", "artifacts/in"]


def test_what_was_cut_in_the_middle_gets_no_name(machine: Machine) -> None:
    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        context.path("out").write_bytes(b"x" * (CHUNK_BYTES + 1))

    def cut(ask: Any) -> Any:
        return {} if isinstance(ask, WriteOutput) and ask.offset else None  # answered, and never written

    _, problem, _ = machine.run(body, before=cut)
    assert problem is not None
    assert problem.code == "AF842"
    assert machine.names() == ["artifacts"]


def test_a_file_elsewhere_is_refused(machine: Machine, tmp_path: Path) -> None:
    def body(context: StepContext, _inputs: dict[str, Any]) -> None:
        with context.writing(tmp_path / "elsewhere.csv") as part:
            part.write_text("lost")

    answer, _, _ = machine.run(body)
    assert answer.error is not None
    assert answer.error.code == "AF845"
    assert not (tmp_path / "elsewhere.csv").exists()


HOSTILE = [
    ShippedFile(b"../../other/x", "file", size=1),
    ShippedFile(b"/etc/x", "file", size=1),
    ShippedFile(b"artifacts/../../x", "file", size=1),
    ShippedFile(b"artifacts//x", "file", size=1),
    ShippedFile(b"", "folder"),
    ShippedFile(b".", "folder"),
    ShippedFile(b"a\0b", "file", size=1),
    ShippedFile(b"artifacts/out/x", "file", size=1),
    ShippedFile(b"link", "link", target=b"/etc/passwd"),
    ShippedFile(b"link", "link", target=b"../x"),
    ShippedFile(b"artifacts/link", "link", target=b"a/../../../x"),
    ShippedFile(b"artifacts/link", "link", target=b"../../x"),
    ShippedFile(b"artifacts/link", "link", target=b""),
    ShippedFile(b"artifacts/link", "link", target=b".."),
]


@pytest.mark.parametrize("file", HOSTILE, ids=lambda file: repr((file.path, file.target)))
def test_a_hostile_worker_writes_nothing_outside(machine: Machine, tmp_path: Path, file: ShippedFile) -> None:
    (tmp_path / "outside").mkdir()
    (machine.artifacts / "out").symlink_to(tmp_path / "outside")
    before = all_below(tmp_path)
    with engine_with_files(machine.call(), flow=machine.flow, ships=Shipping()) as (_, files, _run):
        refused = files.refused(ListOutputs([file]))
        assert refused.code == "AF846"
        assert files.refused(WriteOutput(0, 0, Chunk.of(b"x"))).code == "AF846"
        assert files.end() is None
    assert all_below(tmp_path) == before


def test_a_hostile_worker_reads_only_what_was_offered(machine: Machine) -> None:
    (machine.artifacts / "in").write_text("in")
    (machine.artifacts / "other").write_text("other")
    call = machine.call(file="in")
    with engine_with_files(call, flow=machine.flow, ships=Shipping()) as (_, files, _run):
        for path in (b"demo/a/run-1/artifacts/other", b"../../etc/passwd", b"/etc/passwd"):
            assert files.refused(ReadInput(path, "work", 0)).code == "AF846"
        got = files.answer(ReadInput(b"demo/a/run-1/artifacts/in", "work", 0))
        assert msgspec.convert(got, Chunk).data == b"in"
        files.end()


def test_an_engine_that_takes_over_accepts_what_an_earlier_one_received(machine: Machine) -> None:
    file = ShippedFile(b"artifacts/a", "file", size=2, mode=0o600)
    with engine_with_files(machine.call(), flow=machine.flow, ships=Shipping()) as (_, files, _run):
        assert files.answer(ListOutputs([file])) is None
        assert files.answer(WriteOutput(0, 0, Chunk.of(b"x"))) is None
        # This engine is killed: neither `accept` nor `close` is called.
    with engine_with_files(machine.call(), flow=machine.flow, ships=Shipping()) as (_, files, _run):
        assert files.answer(WriteOutput(0, 0, Chunk.of(b"x"))) is None  # its reply was lost: it comes again
        assert files.answer(WriteOutput(0, 1, Chunk.of(b"y"))) is None
        assert files.end() is None
    assert (machine.artifacts / "a").read_text() == "xy"
    assert machine.names() == ["artifacts", "artifacts/a"]
