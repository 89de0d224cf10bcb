"""Capture what plugin code prints, warns and logs: each line goes to its step or run, reports stay clean.

While a command runs, `sys.stdout` and `sys.stderr` belong to plugin code. What is written there goes to the
target of the calling context, which tasks, worker threads and plain threads inherit. AetherFlow itself writes
to `real_stdout()` and `real_stderr()`. Outside of a command nothing is captured. May import `redaction`.
"""

from aetherflow.plugin_output.capture import captured, show_everything
from aetherflow.plugin_output.records import PLUGIN_PACKAGE, add_plugin_package
from aetherflow.plugin_output.streams import real_stderr, real_stdout
from aetherflow.plugin_output.targets import (
    MOST_HELD,
    Level,
    Line,
    LineTarget,
    Stream,
    Target,
    current_target,
    directed_to,
    held_back,
    is_capturing,
    leave_target,
    print_outside,
    target_in,
)

__all__ = [
    "MOST_HELD",
    "PLUGIN_PACKAGE",
    "Level",
    "Line",
    "LineTarget",
    "Stream",
    "Target",
    "add_plugin_package",
    "captured",
    "current_target",
    "directed_to",
    "held_back",
    "is_capturing",
    "leave_target",
    "print_outside",
    "real_stderr",
    "real_stdout",
    "show_everything",
    "target_in",
]
