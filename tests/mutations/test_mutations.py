"""The tool that shows whether tests see their code, tried on a project of two modules."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.mutations import choice, explained
from tests.mutations.source_edits import Mutant, mutants_of
from tests.mutations.trial import Project, trials

ROOT = Path(__file__).parents[2]

SOURCE = """\
LIMIT = 10


def is_small(n):
    return n < LIMIT
"""

LOOP = """\
def count_down(n):
    while n > 0:
        n = n - 1
    return "done"
"""

TEST = """\
import subprocess, sys

from sample.counting.numbers import is_small
from sample.looping.loop import count_down

def test_small():
    assert is_small(1)

def test_count_down():
    assert count_down(3) == "done"

def test_child():
    code = "import sample.counting.numbers as n; assert n.is_small(9)"
    subprocess.run([sys.executable, "-c", code], check=True, env={})
"""

EXPLAINED = """\
[[mutant]]
file = "sample/counting/numbers.py"
before = "return n < LIMIT"
after = "return n <= LIMIT"
why = "ten is as small as nine"

[[mutant]]
file = "sample/counting/numbers.py"
before = "return n > LIMIT"
why = "this line is gone"
"""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A package with one module, and its tests, which need no plugin of pytest."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    files = {
        "sample/__init__.py": "",
        "sample/counting/__init__.py": "",
        "sample/counting/numbers.py": SOURCE,
        "sample/looping/loop.py": LOOP,
        "tests/counting/test_numbers.py": TEST,
        "explained.toml": EXPLAINED,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return Project(tmp_path, Path("sample"), (".",))


def _change(before: str, after: str) -> Mutant:
    file, text = ("numbers", SOURCE) if before in SOURCE else ("loop", LOOP)
    folder = "counting" if before in SOURCE else "looping"
    start = text.index(before)
    return Mutant(f"sample/{folder}/{file}.py", start, start + len(before), after)


def _command(project: Project, *arguments: str) -> list[str]:
    options = ["--root", str(project.root), "--package", "sample", "--path", "."]
    options += ["--explained", str(project.root / "explained.toml"), "--workers", "1"]
    return [sys.executable, "-m", "tests.mutations", *options, *arguments]


def test_a_mutant_is_noticed_survives_or_breaks_the_import(project: Project) -> None:
    fates = {
        _change('return "done"', "return None"): "noticed",
        _change("n < LIMIT", "n <= LIMIT"): "survived",
        _change("LIMIT = 10", "LIMIT = TEN"): "noticed",
        _change("LIMIT = 10", "LIMIT = 9"): "noticed",  # by the process that a test starts
    }
    tried = list(trials(project, list(fates), workers=2))
    assert {trial.mutant: trial.fate for trial in tried} == fates
    assert (project.root / "sample/counting/numbers.py").read_text() == SOURCE


def test_a_mutant_that_never_ends_is_ended(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.mutations.trial.LEAST_SECONDS", 2)
    [trial] = trials(project, [_change("n - 1", "n + 1")], workers=1)
    assert trial.fate == "hangs"


def test_the_report_shows_survivors_their_reasons_the_rate_and_the_seed(project: Project) -> None:
    done = subprocess.run(
        _command(project, "counting", "--seed", "5", "--count", "1000"),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    source = SOURCE.encode()
    count = len(mutants_of("sample/counting/numbers.py", source))
    assert f"seed 5: {count} mutants of 2 files" in done.stdout
    assert (
        "explained: sample/counting/numbers.py:5\n  - return n < LIMIT\n  + return n <= LIMIT\n"
        "  ten is as small as nine" in done.stdout
    )
    assert "outdated explanation: sample/counting/numbers.py: return n > LIMIT" in done.stdout
    assert "all (seed 5)" in done.stdout
    assert done.returncode == (1 if "survived: " in done.stdout else 0)


def test_a_kill_in_the_middle_leaves_every_file_as_it_was(project: Project) -> None:
    def files() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in project.root.rglob("*") if path.is_file()}

    before = files()
    temporary = project.root.with_name("temporary")
    temporary.mkdir()
    tool = subprocess.Popen(
        _command(project, "counting", "--seed", "5", "--count", "1000", "--verbose"),
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert tool.stdout is not None
    with tool, tool.stdout:
        assert any(line.startswith("noticed: ") for line in tool.stdout)  # and now it tries the second
        tool.send_signal(signal.SIGKILL)
    assert files() == before


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a <= b", "a >= b"}),
        ("a <= b < c", {"a < b < c", "a > b < c", "a <= b <= c", "a <= b >= c"}),
        ("a is  not b", {"a is b"}),
        ("a not in b", {"a in b"}),
        ("a and b and c", {"a or b and c", "a and b or c"}),
        ("x = not a", {"x = (a)"}),
        ("x = True", {"x = False"}),
        ("x = 0", {"x = 1"}),
        ("x = 7", {"x = 6", "x = 8"}),
        ("x = min(a, b)", {"x = max(a, b)"}),
        ("x = 'é' + a - b", {"x = 'é' - a - b", "x = 'é' + a + b"}),
        ("x = b if a() else c", {"x = b if (not (a())) else c"}),
        ("x = [b for b in c if b]", {"x = [b for b in c if (not (b))]"}),
        ("run(a)", {"pass"}),
        ("x: Literal[1] = a", set()),
        ("class X(Struct, frozen=True): x: int", set()),
        ("'documented'", set()),
        ("PATIENCE_SECONDS = 30.0", set()),
        ("x = f'{a + 1}'", set()),
        ("x = zip(a, b, strict=True)", set()),
    ],
)
def test_what_becomes_of_a_line(source: str, expected: set[str]) -> None:
    found = mutants_of("x.py", source.encode())
    assert {mutant.apply(source.encode()).decode() for mutant in found} == expected


def test_every_mutant_is_python_and_is_shown_by_the_lines_that_change() -> None:
    for path in choice.sources(ROOT, Path("aetherflow"), ["store/journal", "schedule/dst"]):
        source = path.read_bytes()
        for mutant in mutants_of(path.name, source):
            ast.parse(mutant.apply(source))
            before, after = mutant.lines(source)
            assert before != after
            assert "\n".join(before) in source.decode()


def test_the_tests_of_a_file_are_those_that_import_it_and_those_of_its_room() -> None:
    near, others = choice.tests_of(ROOT, Path("aetherflow"), ROOT / "aetherflow/store/journal.py")
    names = {path.relative_to(ROOT / "tests").as_posix() for path in near}
    assert {"store/test_journal.py", "execution/test_bus.py"} <= names
    assert all(path.parent.name == "store" for path in others)


def test_every_explanation_of_the_project_has_a_reason() -> None:
    known = explained.load(Path(explained.__file__).with_name("explained.toml"))
    assert all(one.why for one in known)
