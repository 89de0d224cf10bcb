"""Type commands in a terminal, and draw its screen as SVG; needs tmux, and Chromium for pages."""

from __future__ import annotations

import io
import os
import re
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich._export_format import CONSOLE_SVG_FORMAT
from rich.console import Console
from rich.text import Text

COLUMNS, ROWS = 116, 30
PATIENCE_SECONDS = 30.0
LOOK_SECONDS = 0.05

FONT = "ui-monospace, SFMono-Regular, Menlo, Consolas, DejaVu Sans Mono, monospace"


class Terminal:
    """A terminal in which a shell runs; see `terminal`."""

    def __init__(self, socket: Path) -> None:
        self._socket = socket

    def tmux(self, *words: str) -> str:
        """Give tmux a command and return what it prints."""
        command = ["tmux", "-S", str(self._socket), "-f", os.devnull, *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout

    def type(self, line: str) -> None:
        """Type a line, on an empty screen."""
        self.tmux("send-keys", "-t", "s", "-l", f"clear; {line}")
        self.tmux("send-keys", "-t", "s", "Enter")

    def wait_for(self, pattern: str) -> None:
        """Look at the screen until it has a text.

        Raises:
            TimeoutError: it does not come.
        """
        until = time.monotonic() + PATIENCE_SECONDS
        while not re.search(pattern, shown := self.tmux("capture-pane", "-p", "-t", "s"), re.MULTILINE):
            if time.monotonic() > until:
                raise TimeoutError(f"{pattern} is not on the screen:\n{shown}")
            time.sleep(LOOK_SECONDS)

    def screen(self) -> str:
        """Return what is on the screen, with its colours."""
        return self.tmux("capture-pane", "-p", "-e", "-t", "s").rstrip()


@contextmanager
def terminal(folder: Path, environment: dict[str, str]) -> Iterator[Terminal]:
    """Open a terminal whose shell is in a folder and has this environment; close it at the end."""
    opened = Terminal(folder / ".tmux")
    variables = [f"{name}={value}" for name, value in environment.items()]
    size = ["-x", str(COLUMNS), "-y", str(ROWS)]
    shell = ["env", "-i", "TERM=tmux-256color", *variables, "sh"]
    opened.tmux("new-session", "-d", "-s", "s", *size, "-c", str(folder), *shell)
    try:
        yield opened
    finally:
        opened.tmux("kill-server")


def as_svg(screen: str, title: str) -> str:
    """Draw a screen; the picture needs nothing from elsewhere, and is the same for the same screen."""
    lines = Text.from_ansi(f"{screen.rstrip()}\n")  # a last line of its own: the frame cuts descenders off
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    console.print(lines, soft_wrap=True)
    without_fonts = re.sub(r"@font-face \{\{.*?\}\}\n", "", CONSOLE_SVG_FORMAT, flags=re.DOTALL)
    drawing = console.export_svg(title=title, code_format=without_fonts, unique_id="picture")
    return drawing.replace("font-family: Fira Code, monospace", f"font-family: {FONT}")


def photograph(page: Path, picture: Path, folder: Path) -> None:
    """Take a picture of the beginning of a page, in a browser that keeps its files in a folder."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--no-first-run"]
    quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    where = [f"--user-data-dir={folder / '.browser'}", f"--screenshot={picture}", "--window-size=1000,730"]
    command = ["chromium", *options, *quiet, *where, page.as_uri()]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_SECONDS)
