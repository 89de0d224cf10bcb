"""`external.process`: what the program gets, and what the flow gets back."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import anyio
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.errors import StepError
from aetherflow.events.run_events import Event
from aetherflow.process.pipes import DRAIN_SECONDS
from aetherflow.steps.external_process import external_process
from aetherflow.steps.process_inputs import ProcessInput
from tests.polling import eventually
from tests.sizes import examples
from tests.steps.process_context import is_alive, limits_pass_after, pids_in, process_context, run_step, said

CAPTURE = {"stdout": "capture", "stderr": "capture"}
ARGUMENTS = [sys.executable, "-c", "import json, sys; print(json.dumps(sys.argv[1:]))"]
ENVIRONMENT = [sys.executable, "-c", "import json, os; print(json.dumps(dict(os.environ)))"]


async def answer(folder: Path, **inputs: Any) -> Any:
    """Run a program that prints JSON, and return what it printed."""
    result = await run_step(process_context(folder), log=CAPTURE, **inputs)
    return json.loads(result.outputs["stdout"])


def refusal(**inputs: Any) -> str:
    """Return why these inputs are not accepted."""
    with pytest.raises(msgspec.ValidationError) as raised:
        msgspec.convert({"command": "x", **inputs}, ProcessInput, strict=False)
    return str(raised.value)


def test_the_step_type_describes_itself() -> None:
    assert (external_process.name, external_process.input_type) == ("external.process", ProcessInput)
    assert external_process.summary == "Run a program; SKIPPED when its marker says that the work is done."


@pytest.mark.asyncio
async def test_a_success_yields_exit_code_attempts_and_the_declared_outputs(tmp_path: Path) -> None:
    result = await run_step(process_context(tmp_path), command="true", outputs={"table": "t", "rows": 3})
    assert result.status == "SUCCESS"
    assert result.outputs == {"exit_code": 0, "attempts": 1, "table": "t", "rows": 3}


@pytest.mark.asyncio
async def test_command_and_args_make_argv_unchanged(tmp_path: Path) -> None:
    given = ["a b", "$HOME", "*", "", "{{x}}", "007", "null", "'", '"', "\\", "é\n"]
    assert await answer(tmp_path, command=[*ARGUMENTS, *given], args=given) == given * 2


@examples(15)
@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), max_size=5))
def test_any_text_reaches_the_program_and_the_shell_as_it_is(
    tmp_path_factory: pytest.TempPathFactory, words: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("x")

    async def both() -> None:
        assert await answer(folder, command=ARGUMENTS, args=words) == words
        in_shell = {"command": [*ARGUMENTS, *words], "args": words, "shell": True}
        assert await answer(folder, **in_shell) == words * 2

    anyio.run(both)


@pytest.mark.asyncio
async def test_values_that_are_no_text_are_written_as_json(tmp_path: Path) -> None:
    values = [1, 2.5, True, False, None]
    expected = ["1", "2.5", "true", "false", "null"]
    assert await answer(tmp_path, command=[*ARGUMENTS, *values], args=values) == expected * 2


@pytest.mark.asyncio
async def test_a_list_or_mapping_of_a_template_is_json_in_a_variable_and_no_argument(
    tmp_path: Path,
) -> None:
    given = {"L": [1, "a"], "M": {"k": "ä"}, "N": None, "T": True}
    seen = await answer(tmp_path, command=ENVIRONMENT, env=given)
    assert [seen[name] for name in given] == ['[1, "a"]', '{"k": "ä"}', "", "true"]
    with pytest.raises(msgspec.ValidationError, match=r"Expected `str`, got `object` - at `\$.args\[1\]`"):
        await answer(tmp_path, command=ARGUMENTS, args=["x", {"k": 1}])


@pytest.mark.asyncio
async def test_a_text_with_shell_is_a_command_line(tmp_path: Path) -> None:
    inputs = {"command": "echo one two | tr a-z A-Z && echo", "args": ["a  b", "$HOME"], "shell": True}
    result = await run_step(process_context(tmp_path), **inputs, log=CAPTURE)
    assert result.outputs["stdout"] == "ONE TWO\na  b $HOME"


@pytest.mark.asyncio
async def test_a_text_without_shell_is_one_program_name(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="cannot start echo hello") as raised:
        await run_step(process_context(tmp_path), command="echo hello")
    assert (raised.value.code, "shell: true" in raised.value.hint) == ("AF731", True)


@pytest.mark.asyncio
async def test_the_program_works_in_the_artifacts_folder_or_below_it(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    (context.artifacts / "sub").mkdir()
    for cwd, expected in (
        (None, context.artifacts),
        ("sub", context.artifacts / "sub"),
        (str(tmp_path), tmp_path),
    ):
        result = await run_step(context, command="pwd", cwd=cwd, log=CAPTURE)
        assert result.outputs["stdout"] == f"{expected}"


@pytest.mark.asyncio
async def test_a_relative_folder_may_not_leave_the_artifacts(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="leaves the job's artifacts folder"):
        await run_step(process_context(tmp_path), command="pwd", cwd="../..")


@pytest.mark.asyncio
async def test_a_missing_folder_is_reported(tmp_path: Path) -> None:
    with pytest.raises(StepError, match=r"the working directory .*/nowhere: No such file"):
        await run_step(process_context(tmp_path), command="pwd", cwd="nowhere")


@pytest.mark.asyncio
async def test_the_program_gets_the_runs_environment_and_who_it_works_for(tmp_path: Path) -> None:
    context = process_context(tmp_path, env={"PATH": os.environ["PATH"], "A": "run", "B": "run"})
    result = await run_step(context, command=ENVIRONMENT, env={"B": "step", "N": 5, "E": None}, log=CAPTURE)
    seen = json.loads(result.outputs["stdout"])
    assert {"A": "run", "B": "step", "N": "5", "E": ""}.items() <= seen.items()
    assert {
        "AETHERFLOW_FLOW_ID": "flow",
        "AETHERFLOW_RUN_ID": "run-1",
        "AETHERFLOW_JOB_ID": "job",
        "AETHERFLOW_STEP_ID": "step",
        "AETHERFLOW_IDEMPOTENCY_KEY": "run-1/job/step",
    }.items() <= seen.items()
    assert "HOME" not in seen
    assert "AETHERFLOW_OUTPUT_DIR" not in seen


@pytest.mark.asyncio
async def test_without_inheritance_there_is_only_what_the_step_and_the_engine_give(tmp_path: Path) -> None:
    seen = await answer(tmp_path, command=ENVIRONMENT, env={"X": "1"}, inherit_env=False)
    ours = {name for name in seen if not name.startswith("AETHERFLOW_")} - {"LC_CTYPE"}  # which Python adds
    assert ours == {"X", "TRACEPARENT"}
    assert seen["AETHERFLOW_PROCESS"].split(":")[1] == "run-1"


@pytest.mark.asyncio
async def test_the_mark_cannot_be_taken_away(tmp_path: Path) -> None:
    seen = await answer(tmp_path, command=ENVIRONMENT, env={"AETHERFLOW_PROCESS": "mine"})
    assert seen["AETHERFLOW_PROCESS"] != "mine"


@pytest.mark.parametrize(
    ("stdin", "expected"), [("text ä\n", "text ä"), ("", ""), (7, "7"), (["a"], '["a"]')]
)
@pytest.mark.asyncio
async def test_stdin_is_what_the_step_says(tmp_path: Path, stdin: object, expected: str) -> None:
    result = await run_step(process_context(tmp_path), command="cat", stdin=stdin, log=CAPTURE)
    assert result.outputs["stdout"] == expected


@pytest.mark.asyncio
async def test_a_failure_shows_code_command_last_lines_and_log(tmp_path: Path) -> None:
    context = process_context(tmp_path, secrets=("hunter2hunter2",))
    script = "for i in $(seq 20); do echo line $i >&2; done; echo hunter2hunter2 >&2; exit 3"
    with pytest.raises(StepError) as raised:
        await run_step(context, command=["sh", "-c", script])
    error = raised.value
    assert (error.code, error.kind) == ("AF732", "exit_code")
    assert "\nlast lines of stderr:\n  line 12\n" in error.message
    assert "line 11\n" not in error.message
    assert error.message.endswith(f"  ***\nwhole output: {context.log_file}")
    assert "hunter2" not in error.message
    assert error.detail == {
        "exit_code": 3,
        "attempts": 1,
        "command": ["sh", "-c", script],
        "log_file": str(context.log_file),
    }


@pytest.mark.asyncio
async def test_a_secret_at_the_edge_of_a_shortened_command_is_not_shown_in_part(tmp_path: Path) -> None:
    for padding in range(180, 200):
        context = process_context(tmp_path, secrets=("hunter2hunter2",))
        with pytest.raises(StepError) as raised:
            await run_step(context, command=["false", "x" * padding + "hunter2hunter2" + "y" * 50])
        assert "hunter" not in raised.value.message.partition("\n")[0]
        assert "..." in raised.value.message


@pytest.mark.asyncio
async def test_when_stderr_is_empty_the_last_lines_are_those_of_stdout(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="last lines of stdout:\n  said here"):
        await run_step(process_context(tmp_path), command=["sh", "-c", "echo said here; exit 1"])


@pytest.mark.parametrize(
    ("script", "words", "hint"),
    [
        ("kill -9 $$", "killed by SIGKILL", "memory"),
        ("kill -SEGV $$", "killed by SIGSEGV", "crashed"),
        ("kill -40 $$", "killed by signal 40", "sent it that signal"),
        ("no-such-command-here", "exit code 127", "PATH"),
    ],
)
@pytest.mark.asyncio
async def test_a_failure_is_reported_in_words_with_a_hint(
    tmp_path: Path, script: str, words: str, hint: str
) -> None:
    with pytest.raises(StepError, match=words) as raised:
        await run_step(process_context(tmp_path), command=["bash", "-c", script])
    assert hint in raised.value.hint


@pytest.mark.parametrize("codes", [3, [0, 3], "3", ["3"]])
@pytest.mark.asyncio
async def test_other_exit_codes_can_be_a_success(tmp_path: Path, codes: object) -> None:
    result = await run_step(
        process_context(tmp_path), command=["sh", "-c", "exit 3"], success={"exit_codes": codes}
    )
    assert result.outputs["exit_code"] == 3


@pytest.mark.asyncio
async def test_zero_is_no_success_when_another_code_is(tmp_path: Path) -> None:
    with pytest.raises(StepError, match="exit code 0"):
        await run_step(process_context(tmp_path), command="true", success={"exit_codes": [3]})


@pytest.mark.asyncio
async def test_a_timeout_is_an_error_and_leaves_nobody(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    script = "echo x; sleep 1000 & echo $! > pid; : > ready; wait"
    ended = r"not finished after 1 s, so it was ended: .*\nlast lines of stdout:\n  x"
    is_ready = (context.artifacts / "ready").exists
    with limits_pass_after(is_ready), pytest.raises(StepError, match=ended) as raised:
        await run_step(context, command=["bash", "-c", script], timeout_seconds="1")
    assert (raised.value.code, raised.value.kind) == ("AF733", "timeout")
    assert not any(map(is_alive, await pids_in(context.artifacts / "pid", 1)))


@pytest.mark.asyncio
async def test_cancelling_the_step_ends_the_program_and_keeps_its_last_output(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    script = "trap 'echo bye; exit' TERM; echo $$ > pid; sleep 1000 & wait"
    async with anyio.create_task_group() as tasks:

        async def runs() -> None:
            await run_step(context, command=["bash", "-c", script])

        tasks.start_soon(runs)
        (pid,) = await pids_in(context.artifacts / "pid", 1)
        tasks.cancel_scope.cancel()
    assert not is_alive(pid)
    assert context.log_file.read_text() == "bye\n"


@pytest.mark.asyncio
async def test_a_failed_attempt_leaves_no_background_process(tmp_path: Path) -> None:
    context = process_context(tmp_path)
    with pytest.raises(StepError, match="exit code 1"):
        await run_step(
            context, command=["sh", "-c", "setsid sleep 1000 >/dev/null 2>&1 & echo $! > pid; exit 1"]
        )
    (background,) = await pids_in(context.artifacts / "pid", 1)
    assert await eventually(lambda: not is_alive(background))


@pytest.mark.asyncio
async def test_a_background_process_that_holds_the_output_is_reported(tmp_path: Path) -> None:
    events: list[Event] = []
    context = process_context(tmp_path, events)
    with anyio.fail_after(DRAIN_SECONDS + 20):
        result = await run_step(
            context, command=["sh", "-c", "sleep 1000 & echo $! > pid; echo x"], log=CAPTURE
        )
    assert result.outputs["stdout"] == "x"
    assert "a background process holds the output open" in said(events)
    for pid in await pids_in(context.artifacts / "pid", 1):
        os.kill(pid, 9)


def test_what_a_flow_gets_wrong_is_named() -> None:
    assert "unknown field `comand`" in refusal(comand="x")
    assert "names no program" in refusal(command="")
    assert "names no program" in refusal(command=[])
    assert "names no program" in refusal(command=["", "x"])
    assert "log.file_path is required" in refusal(log={"stderr": "file"})
    assert "$.log.stdout" in refusal(log={"stdout": "shout"})
    assert "$.timeout_seconds" in refusal(timeout_seconds=0)
    assert "needs temp_output_dir and final_output_dir" in refusal(idempotency={"strategy": "atomic_dir"})
    assert "min_size is the size of require_files or require_glob" in refusal(success={"min_size": "1kB"})
    assert "'big' is no size: write bytes" in refusal(success={"require_files": "a", "min_size": "big"})
    assert "is no size" in refusal(success={"require_files": "a", "min_size": -1})


@pytest.mark.parametrize(
    ("part", "one", "other"),
    [
        ("log", {"max_capture_kb": 2}, {"max_capture_bytes": 2047}),
        ("retry", {"backoff_seconds": 1}, {"sleep_seconds": 2}),
        ("success", {"require_files": "a"}, {"required_files": ["b"]}),
        ("success", {"require_glob": ["a*"]}, {"required_globs": ["b*"]}),
        ("success", {"forbid_files": []}, {"forbidden_files": "b"}),
    ],
)
def test_two_spellings_of_one_option_must_not_differ(
    part: str, one: dict[str, Any], other: dict[str, Any]
) -> None:
    assert "mean the same and differ" in refusal(**{part: {**one, **other}})
    for accepted in (one, other):
        msgspec.convert({"command": "x", part: accepted}, ProcessInput)


def test_two_spellings_that_agree_are_accepted() -> None:
    inputs = msgspec.convert(
        {
            "command": "x",
            "log": {"max_capture_kb": 2, "max_capture_bytes": 2048},
            "success": {"require_files": "a", "required_files": ["a"]},
        },
        ProcessInput,
    )
    assert inputs.log is not None
    assert inputs.success is not None
    assert (inputs.log.captured_bytes, inputs.success.required) == (2048, ["a"])


def test_options_left_empty_are_as_if_they_were_not_there() -> None:
    empty = dict.fromkeys(
        ["args", "cwd", "env", "timeout_seconds", "log", "retry", "success", "idempotency", "outputs"]
    )
    inputs = msgspec.convert({"command": "x", **empty}, ProcessInput, strict=False)
    assert inputs == ProcessInput(command="x")
