"""What is wrong with a condition is reported with a place and a way out, at once, never as an exception."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aetherflow.language.condition import MAX_LENGTH, compile_condition
from aetherflow.language.reference import TextDiagnostic
from tests.sizes import examples


def problems_of(text: str) -> list[TextDiagnostic]:
    compiled, problems = compile_condition(text)
    assert (compiled is None) == bool(problems)
    return problems


EXAMPLE = "a condition looks like: jobs.ID.outputs.KEY > 0 and env.NAME == 'text'"
LIST = "a list is written in square brackets, on the right of in: ['a', 'b']"
ARITHMETIC = (
    "there is no arithmetic in a condition; let a step compute the value, or for a date a param: "
    "{type: date, default: today-1d}"
)
EARLIER = (
    "a condition is decided before the first step of its job: test what other jobs gave, jobs.ID.outputs.KEY"
)
MORE = "expected and, or, a comparison or the end"
VALUE = "expected a path or a literal"


@pytest.mark.parametrize(
    ("text", "offset", "found", "expected", "hint"),
    [
        ("true and", 8, "its end", VALUE, EXAMPLE),
        ("not", 3, "its end", VALUE, EXAMPLE),
        ("env.A ==", 8, "its end", VALUE, EXAMPLE),
        ("== 1", 0, "'=='", VALUE, EXAMPLE),
        ("and true", 0, "'and'", VALUE, EXAMPLE),
        ("true true", 5, "'true'", MORE, EXAMPLE),
        ("env.A not 1", 6, "'not'", MORE, EXAMPLE),
        ("env.A == not true", 9, "'not'", VALUE, EXAMPLE),
        ("(true", 5, "its end", "expected )", EXAMPLE),
        ("(true))", 6, "')'", MORE, EXAMPLE),
        ("()", 1, "')'", VALUE, EXAMPLE),
        ("env.A = 1", 6, "'='", MORE, "write == to compare"),
        (
            *("params.day == 2026-01-31", 18, "'-01'", MORE),
            "a date is a text, and text is written in quotes: '2026-01-31'",
        ),
        ("env.A && env.B", 6, "'&'", MORE, "write and"),
        ("env.A || env.B", 6, "'|'", MORE, "write or"),
        ("!env.A", 0, "'!'", VALUE, "write not, or != to compare"),
        ("env.A <> 1", 7, "'>'", VALUE, EXAMPLE),
        ("env.A + 1 == 2", 6, "'+'", MORE, ARITHMETIC),
        ("env.A - 1 == 2", 6, "'-'", MORE, ARITHMETIC),
        ("env.A * 2 == 2", 6, "'*'", MORE, ARITHMETIC),
        ("1 -1", 2, "'-1'", MORE, EXAMPLE),
        ("{{env.A}} == 1", 0, "'{'", VALUE, "write the bare path, without braces: jobs.ID.outputs.KEY"),
        ("env.A == {{env.B}}", 9, "'{'", VALUE, "write the bare path, without braces: jobs.ID.outputs.KEY"),
        ("env.A == 'x", 9, '"\'"', VALUE, "the text is not closed: write another ' at its end"),
        ('env.A == "x\\"', 9, "'\"'", VALUE, 'the text is not closed: write another " at its end'),
        ("len(env.A) > 0", 3, "'('", "calls are not supported", EXAMPLE),
        ("env.A.upper() == 'X'", 11, "'('", "calls are not supported", EXAMPLE),
        (
            "env.A[0] == 1",
            5,
            "'['",
            "indexing is not supported",
            "let a step pick the item, and test its output",
        ),
        ("[1] == [1]", 0, "'['", VALUE, LIST),
        ("env.A == [1]", 9, "'['", VALUE, LIST),
        ("env.A in (1, 2)", 11, "','", "expected )", LIST),
        ("env.A in ('x')", 9, "'('", "expected a path, a text or a list after in", LIST),
        ("env.A in 5", 9, "'5'", "expected a path, a text or a list after in", LIST),
        ("env.A in null", 9, "'null'", "expected a path, a text or a list after in", LIST),
        ("env.A in [1", 11, "its end", "expected , or ] in the list", EXAMPLE),
        ("env.A in [1 2]", 12, "'2'", "expected , or ] in the list", EXAMPLE),
        ("env.A in [1,]", 12, "']'", "expected a literal in the list", EXAMPLE),
        ("env.A in [env.B]", 10, "'env.B'", "expected a literal in the list", EXAMPLE),
        ("env.A in [[1]]", 10, "'['", "expected a literal in the list", LIST),
        ("env.A in [1] == true", 13, "'=='", MORE, EXAMPLE),
        ("env.A == 9" + "9" * 64, 9, f"'{'9' * 40}...'", VALUE, "a number has at most 64 digits"),
        ("env.A == 1e999", 9, "'1e999'", VALUE, "the number is too large"),
        ("env.A == 1x", 9, "'1'", VALUE, "a condition has paths, literals, and, or, not, in, ( )"),
        ("env.A ? 1 : 2", 6, "'?'", MORE, "a condition has paths, literals, and, or, not, in, ( )"),
        (
            "(" * 51 + "1" + ")" * 51,
            50,
            "'('",
            "nested more than 50 levels deep",
            "let a step compute a part of it",
        ),
        (
            "not " * 51 + "1",
            200,
            "'not'",
            "nested more than 50 levels deep",
            "let a step compute a part of it",
        ),
    ],
)
def test_what_cannot_be_read_is_reported_at_its_place(
    text: str, offset: int, found: str, expected: str, hint: str
) -> None:
    problem = next(problem for problem in problems_of(text) if problem.code == "AF421")
    assert problem.message == f"the condition cannot be read at {found}: {expected}"
    assert (problem.offset, problem.where, problem.hint) == (offset, (), hint)


@pytest.mark.parametrize(
    ("text", "path", "hint"),
    [
        ("steps.a.x == 1", "steps.a.x", EARLIER),
        ("SUCCESS == 'x'", "SUCCESS", "text is written in quotes: 'SUCCESS'"),
        ("job.a.status == 1", "job.a.status", "did you mean 'jobs'?"),
        ("yes", "yes", "write true"),
        ("Off", "Off", "write false"),
        ("param.x == 1", "param.x", "did you mean 'params'?"),
        ("Env.X", "Env.X", "did you mean 'env'?"),
        ("__builtins__", "__builtins__", "text is written in quotes"),
        ("x" * 50, "x" * 40 + "...", "text is written in quotes"),
    ],
)
def test_an_unknown_root_is_reported_with_the_known_ones(text: str, path: str, hint: str) -> None:
    assert problems_of(text) == [
        TextDiagnostic(
            f"{path!r} is not known in a condition: a path begins with jobs, params or env",
            (),
            0,
            "AF422",
            hint,
        )
    ]


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("jobs", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.a", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.status", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.outputs.x", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.a.outputs", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.a.output.x", "write jobs.a.outputs.x"),
        ("jobs.a.outputs.x.y", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.a.outputs.files.0", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("jobs.a.reason", "write jobs.a.outputs.reason"),
        ("jobs.__class__", "write jobs.ID.outputs.KEY or jobs.ID.status"),
        ("params", "write params.NAME"),
        ("params.a.b", "write params.NAME"),
        ("env", "write env.NAME"),
        ("env.A.B", "write env.NAME"),
    ],
)
def test_a_path_of_another_shape_is_refused(path: str, hint: str) -> None:
    assert problems_of(f"true and {path}") == [
        TextDiagnostic(f"{path!r} is no path of a condition", (), 9, "AF422", hint)
    ]


def test_every_wrong_path_is_reported_and_the_first_thing_that_cannot_be_read() -> None:
    found = problems_of("a.b == 1 and env.A and (c or params) and")
    assert [(p.code, p.offset) for p in found] == [("AF422", 0), ("AF422", 24), ("AF422", 29), ("AF421", 40)]


def test_a_condition_may_be_long_but_not_endless() -> None:
    assert problems_of("true".ljust(MAX_LENGTH)) == []
    found = problems_of("true".ljust(MAX_LENGTH + 1))
    assert found[0].message == "the condition has 10001 characters, at most 10000 are allowed"
    assert found[0].code == "AF421"


@pytest.mark.parametrize(
    "text",
    [
        "__import__('os')",
        "__import__('os').system('true')",
        "().__class__",
        "().__class__.__bases__[0].__subclasses__()",
        "jobs.__class__.__mro__",
        "'a'*10**9",
        "10**10**10",
        "1 << 99999999999",
        "'%1000000000d' % 3",
        "[x for x in [1]]",
        "{x: 1 for x in [1]}",
        "any(x for x in [1])",
        "lambda: 1",
        "(lambda: 1)()",
        "f'{jobs}'",
        "f\"{__import__('os')}\"",
        "b'x'",
        "(1).bit_length()",
        "'x'.format(jobs)",
        "open('/etc/passwd')",
        "x := 1",
        "1 if true else 2",
        "1; 2",
        "true # comment",
        "true\\\nand false",
        "`id`",
        "$(id)",
        "${HOME}",
        "*jobs",
        "...",
        "a.b.c()",
        "9" * 3000,
        "(" * 300 + "1" + ")" * 300,
        "(" * 9000,
        "[" * 9000,
        "not " * 2000 + "true",
        "-" * 9000,
        "'" * 9001,
        "a." * 4999 + "a",
        "jobs." + "a." * 4900 + "status",
        "'\\" * 3000,
        "x" * 1_000_000,
    ],
    ids=lambda text: text[:20],
)
def test_an_attack_is_only_a_problem_and_at_once(text: str) -> None:
    begin = time.process_time()
    found = problems_of(text)
    assert time.process_time() - begin < 2
    assert {problem.code for problem in found} <= {"AF421", "AF422"}
    assert found
    for problem in found:
        assert len(problem.message) < 200
        assert problem.hint


WORDS = ["and", "or", "not", "in", "true", "null", "1", "-1.5e3", *"()[],<.=é'\"\\", "==", "{{"]
PATHS = ["jobs.a.status", "jobs.a-b.outputs.x", "env.X", "params.y", "x.y"]
TEXT = st.lists(st.sampled_from([*WORDS, *PATHS, " ", "\n"]) | st.characters(), max_size=25)


@examples(240)
@given(TEXT.map("".join) | TEXT.map(" ".join))
def test_no_text_makes_an_exception_and_every_problem_points_into_it(text: str) -> None:
    compiled, problems = compile_condition(text)
    assert (compiled is None) == bool(problems)
    for problem in problems:
        assert 0 <= problem.offset <= len(text)
    for reference in compiled.references if compiled else ():
        path = ".".join(reference.path)
        assert text[reference.offset : reference.offset + len(path)] == path
