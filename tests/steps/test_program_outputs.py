"""`$AETHERFLOW_OUTPUT` and `parse`: outputs that programs of `external.process` write."""

from __future__ import annotations

import stat
from pathlib import Path

import msgspec
import pytest

from aetherflow.errors import StepError
from aetherflow.steps.output_file import LARGEST
from tests.steps.process_context import process_context, run_step

CAPTURE = {"stdout": "capture"}


@pytest.mark.asyncio
async def test_a_program_writes_outputs_of_its_step(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    script = 'echo "rows=12" >> "$AETHERFLOW_OUTPUT"; printf "list<<X\\na\\nb\\nX\\n" >> "$AETHERFLOW_OUTPUT"'
    result = await run_step(context, command=["sh", "-c", script])
    assert result.outputs == {"exit_code": 0, "attempts": 1, "rows": "12", "list": "a\nb"}
    assert list(context.directory("").glob(".*.output")) == []


@pytest.mark.asyncio
async def test_the_file_is_private_and_there_without_the_environment_of_the_run(tmp_path: Path) -> None:
    script = 'stat -c "mode=%a" "$AETHERFLOW_OUTPUT" >> "$AETHERFLOW_OUTPUT"'
    result = await run_step(
        process_context(tmp_path),
        command=["/bin/sh", "-c", script],
        inherit_env=False,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert result.outputs["mode"] == oct(stat.S_IRUSR | stat.S_IWUSR).removeprefix("0o")


@pytest.mark.asyncio
async def test_each_start_of_the_program_begins_with_an_empty_file(tmp_path: Path) -> None:
    script = (
        'echo x >> n; echo "try$(wc -l < n | tr -d " ")=1" >> "$AETHERFLOW_OUTPUT"; [ "$(wc -l < n)" -ge 2 ]'
    )
    retry = {"max_attempts": 3}
    result = await run_step(process_context(tmp_path), command=["sh", "-c", script], retry=retry)
    assert result.outputs == {"exit_code": 0, "attempts": 2, "try2": "1"}


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("echo no > $AETHERFLOW_OUTPUT", "$AETHERFLOW_OUTPUT, line 1: 'no': it has no ="),
        ("printf 'a=1\\nb=\\377' > $AETHERFLOW_OUTPUT", "line 2 is not UTF-8"),
        (
            f"echo a=1 > $AETHERFLOW_OUTPUT; head -c {LARGEST} /dev/zero >> $AETHERFLOW_OUTPUT",
            "it has more than 1,048,576 bytes in line 2",
        ),
        ("ln -sf /etc/passwd $AETHERFLOW_OUTPUT", "symbolic links"),
        ("rm $AETHERFLOW_OUTPUT; mkfifo $AETHERFLOW_OUTPUT", "the program put something else in its place"),
        ("rm $AETHERFLOW_OUTPUT; mkdir $AETHERFLOW_OUTPUT", "the program put something else in its place"),
        ("echo exit_code=0 > $AETHERFLOW_OUTPUT", "'exit_code' is an output that the step makes itself"),
        ("echo stdout=x > $AETHERFLOW_OUTPUT", "'stdout' is an output that the step makes itself"),
        ("echo stage=x > $AETHERFLOW_OUTPUT", "'stage' is an output that the step makes itself"),
    ],
)
@pytest.mark.asyncio
async def test_a_file_that_cannot_be_read_fails_the_step(tmp_path: Path, script: str, message: str) -> None:
    folder = {"strategy": "atomic_dir", "temp_output_dir": "new", "final_output_dir": "out"}
    context = process_context(tmp_path)
    with pytest.raises(StepError) as caught:
        await run_step(context, command=["sh", "-c", script], outputs={"stage": "s"}, idempotency=folder)
    assert caught.value.code == "AF714"
    assert message in caught.value.message
    assert not (context.artifacts / "out").exists()


@pytest.mark.asyncio
async def test_a_file_that_the_program_removes_says_nothing(tmp_path: Path) -> None:
    result = await run_step(process_context(tmp_path), command=["sh", "-c", "rm $AETHERFLOW_OUTPUT"])
    assert result.outputs == {"exit_code": 0, "attempts": 1}


@pytest.mark.asyncio
async def test_count_is_a_name_unless_parse_makes_it(tmp_path: Path) -> None:
    command = ["sh", "-c", "echo a; echo count=7 > $AETHERFLOW_OUTPUT"]
    result = await run_step(process_context(tmp_path), command=command)
    assert result.outputs["count"] == "7"
    with pytest.raises(StepError, match="'count' is an output"):
        await run_step(process_context(tmp_path), command=command, parse="lines")


@pytest.mark.asyncio
async def test_parse_captures_stdout_and_makes_values_of_it(tmp_path: Path) -> None:
    async def of(parse: str, text: str) -> object:
        result = await run_step(process_context(tmp_path), command=["printf", text], parse=parse)
        return {key: result.outputs[key] for key in ("parsed", "count") if key in result.outputs}

    assert await of("lines", "a\n\nb\n") == {"parsed": ["a", "b"], "count": 2}
    assert await of("lines", "") == {"parsed": [], "count": 0}
    assert await of("json", '{"a": [1]}\n') == {"parsed": {"a": [1]}, "count": 1}
    assert await of("json", "7") == {"parsed": 7}
    assert await of("kv", "a=1\nb=x=y\n") == {"parsed": {"a": "1", "b": "x=y"}, "count": 2}


@pytest.mark.asyncio
async def test_stdout_that_was_cut_is_not_parsed(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        await run_step(
            process_context(tmp_path), command=["seq", "100"], parse="lines", log={"max_capture_bytes": 50}
        )
    assert (caught.value.code, caught.value.message) == (
        "AF715",
        "stdout is longer than 50 bytes, so parse: lines would lose its end",
    )


@pytest.mark.asyncio
async def test_stdout_that_does_not_fit_parse_is_an_error_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(StepError) as caught:
        await run_step(process_context(tmp_path), command=["printf", "a=1\\noops\\n"], parse="kv")
    assert (caught.value.code, caught.value.message) == (
        "AF715",
        "stdout (parse: kv), line 2: 'oops': it has no =",
    )


@pytest.mark.asyncio
async def test_parse_takes_a_byte_order_mark_and_refuses_other_bytes_than_utf_8(tmp_path: Path) -> None:
    """A file name of an old Windows would be another name in the list."""
    marked = await run_step(process_context(tmp_path), command=["printf", "\\357\\273\\277[1]"], parse="json")
    assert marked.outputs["parsed"] == [1]
    with pytest.raises(StepError) as caught:
        await run_step(process_context(tmp_path), command=["printf", "a\\nb\\374.csv\\n"], parse="lines")
    assert (caught.value.code, caught.value.message) == (
        "AF715",
        "stdout (parse: lines), line 2: it is not UTF-8",
    )


@pytest.mark.parametrize("mode", ["file", "discard"])
@pytest.mark.asyncio
async def test_parse_contradicts_a_stdout_that_is_not_captured(tmp_path: Path, mode: str) -> None:
    with pytest.raises(msgspec.ValidationError, match="parse: lines captures stdout"):
        await run_step(
            process_context(tmp_path), command="true", parse="lines", log={"stdout": mode, "file_path": "x"}
        )


@pytest.mark.asyncio
async def test_a_step_that_its_marker_skips_has_what_the_program_gave(tmp_path: Path) -> None:
    idempotency = {"strategy": "marker", "marker_path": "done"}
    command = ["sh", "-c", 'echo a; printf "rows=12\\napi_token=hunter2-x\\n" > $AETHERFLOW_OUTPUT']
    first = await run_step(process_context(tmp_path), command=command, parse="lines", idempotency=idempotency)
    again = process_context(tmp_path)
    second = await run_step(again, command=command, parse="lines", idempotency=idempotency)

    marker = again.artifacts / "done"
    given = {"parsed": ["a"], "count": 1, "stdout": "a", "rows": "12"}
    assert first.outputs.items() >= given.items()
    assert (second.status, second.outputs) == (
        "SKIPPED",
        {**given, "api_token": "***", "skipped": True, "marker": str(marker)},
    )
    assert "hunter2" not in marker.read_text(encoding="utf-8")


@pytest.mark.parametrize("content", ["", "x", "[1]", '{"outputs": {"rows": 1}}', "{" * 100_000])
@pytest.mark.asyncio
async def test_the_marker_of_another_gives_nothing(tmp_path: Path, content: str) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "done").write_text(content, encoding="utf-8")
    result = await run_step(
        context, command="true", idempotency={"strategy": "marker", "marker_path": "done"}
    )
    assert (result.status, sorted(result.outputs)) == ("SKIPPED", ["marker", "skipped"])
