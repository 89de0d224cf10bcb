"""A copy of the project, with a virtual environment of its own, in which tests run against changed sources.

The work tree is never written to, so there is nothing to restore if the tool is killed. Tests that start the
installed command start that of the copy. On Linux, where it may, a test run gets a namespace of processes:
a changed `kill` reaches nobody else, and all that the tests leave behind ends with it.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import tempfile
import venv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Literal
from xml.etree import ElementTree as ET

Outcome = Literal["passed", "failed", "hangs"]

MEMORY_KB = 4_000_000
"""Address space of a test run: a loop that never ends must not take the machine's memory."""

_NAMESPACE = ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc")
_SHELL = ("sh", "-c", f'ulimit -v {MEMORY_KB} 2>/dev/null; "$@"; exit $?', "sh")
"""Waits for all processes of the namespace that lose their parent, as its first process must."""


class Workplace:
    """The copy; one test run at a time."""

    def __init__(self, root: Path, folder: Path, paths: Sequence[str]) -> None:
        """Copy the project at `root` into `folder`; `paths` are where its packages are, below the root."""
        self.root = folder / "project"
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None
        self._version = 0
        folder.chmod(0o755)  # some tests become another user
        shutil.copytree(root, self.root, ignore=shutil.ignore_patterns(".*", "__pycache__"), symlinks=True)
        environment = folder / "venv"
        venv.create(environment, symlinks=True)
        self.bin = environment / "bin"
        # A line of a .pth file is a folder of modules; the .pth files in it, such as that of an editable
        # install, are not read.
        modules = [self.root / path for path in paths]
        installed = [sysconfig.get_path("purelib"), sysconfig.get_path("platlib")]
        [site] = environment.glob("lib/python*/site-packages")
        lines = [*map(str, modules), *dict.fromkeys(installed), str(Path(__file__).parent)]
        (site / "project.pth").write_text("\n".join(lines) + "\n")
        for script in Path(sys.executable).parent.glob("aetherflow*"):
            text = script.read_text().replace(sys.executable, str(self.bin / "python"))
            (self.bin / script.name).write_text(text)
            (self.bin / script.name).chmod(0o755)

    @contextmanager
    def changed(self, file: str, source: bytes) -> Iterator[None]:
        """Let a file of the copy have another text for a while."""
        path = self.root / file
        original = path.read_bytes()
        self._write(path, source)
        try:
            yield
        finally:
            self._write(path, original)

    def _write(self, path: Path, source: bytes) -> None:
        """Write a source with a time that no version of it had: Python takes cached code by time and size."""
        path.write_bytes(source)
        self._version += 1
        os.utime(path, (self._version, self._version))

    def run(self, tests: Sequence[str], seconds: float, *options: str) -> tuple[Outcome, str]:
        """Run test files; return how that ended and the last lines of the output.

        A test, and the collection of all, may take so many seconds.

        Raises:
            SystemExit: pytest was called in a way that it does not understand.
        """
        python = self.bin / "python"
        command = [str(python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "mutant_session"]
        temporary = Path(tempfile.mkdtemp(dir=self._folder))
        temporary.chmod(0o755)
        output = self._folder / "output"
        with output.open("wb") as file:
            self._process = subprocess.Popen(
                [*_isolation(), *_SHELL, *command, *options, *tests],
                cwd=self.root,
                env=self._environment(temporary, seconds),
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                code = self._process.wait()
            finally:
                self.stop()
        shutil.rmtree(temporary, ignore_errors=True)
        text = output.read_text(errors="replace")
        if code == 4:
            raise SystemExit(text)
        passed = code in (0, 5)  # 5: no test was found
        hangs = code == 1 and "Timeout (" in text
        return "hangs" if hangs else "passed" if passed else "failed", text[-2000:]

    def stop(self) -> None:
        """Kill the test run, if there is one."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def durations(self, tests: Sequence[str], options: Sequence[str]) -> dict[str, list[float]]:
        """Run test files as they are and return the seconds that each test of them takes.

        Raises:
            SystemExit: a test fails without any change, so it cannot judge one.
        """
        report = self._folder / "report.xml"
        outcome, text = self.run(tests, 600, f"--junitxml={report}", "-o", "junit_family=xunit1", *options)
        if outcome != "passed":
            raise SystemExit(f"{text}\nThe tests fail without a change; --deselect TEST leaves one out.")
        seconds: dict[str, list[float]] = {test: [] for test in tests}
        for case in ET.parse(report).iter("testcase"):  # noqa: S314  pytest has just written it
            seconds[case.get("file", "")].append(float(case.get("time", 0)))
        return seconds

    def _environment(self, temporary: Path, seconds: float) -> dict[str, str]:
        return {
            **os.environ,
            "PATH": f"{self.bin}{os.pathsep}{os.environ['PATH']}",
            "HOME": str(temporary),
            "TMPDIR": str(temporary),
            "MUTANT_SECONDS": str(seconds),
        }


@cache
def _isolation() -> Sequence[str]:
    """Return what gives a command a namespace of processes; nothing where that is not possible."""
    if not shutil.which("unshare"):
        return ()
    tried = subprocess.run([*_NAMESPACE, "true"], capture_output=True, check=False)
    return _NAMESPACE if tried.returncode == 0 else ()
