"""Build the systemd unit of a server, for `aetherflow init systemd`."""

from __future__ import annotations

import getpass
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from aetherflow.runs.run_pool import CANCEL_SECONDS
from aetherflow.server.item_problems import refuse_missing_flows
from aetherflow.server.schedule_files import load_schedules
from aetherflow.server.server_settings import server_environment, settings_of
from aetherflow.working_directory import absolute, working_directory

SECONDS_TO_SPARE = 15
"""How much longer than the grace of its runs a server may take to stop before systemd kills it."""

UNIT = """\
# Save as /etc/systemd/system/aetherflow.service, then:
#   systemctl daemon-reload && systemctl enable --now aetherflow
[Unit]
Description=AetherFlow server
Documentation=man:systemd.service(5)
After=network-online.target local-fs.target time-sync.target
Wants=network-online.target time-sync.target

[Service]
Type=notify
NotifyAccess=main
User={user}
WorkingDirectory={directory}
Environment={state_root}
EnvironmentFile=-/etc/default/aetherflow
ExecStart={command}
ExecReload=/bin/kill -HUP $MAINPID
Restart=on-failure
RestartSec=5
WatchdogSec=60
TimeoutStopSec={stop_seconds}
KillMode=mixed
SuccessExitStatus=130 143
NoNewPrivileges=yes

[Install]
WantedBy=multi-user.target
"""


def systemd_unit(files: Sequence[Path], process_env: Mapping[str, str]) -> str:
    """Return a unit that serves these files as the current user, from the current folder.

    Raises:
        InvalidInput: a scheduler file has errors, or names a flow that does not exist: a server would
            serve the other items, but the person who installs it can mend the file now.
        UsageError: the files contradict each other.
    """
    schedules = load_schedules(files)
    for schedule in schedules:
        refuse_missing_flows(schedule)
    settings = settings_of(schedules)
    state_root = absolute(server_environment(files, process_env).settings.state_root)
    program = Path(sys.argv[0] if Path(sys.argv[0]).name.startswith("aetherflow") else "aetherflow")
    command = [str(_installed(program)), "serve", *(str(absolute(file)) for file in files)]
    return UNIT.format(
        user=getpass.getuser(),
        directory=_escaped(str(working_directory())),
        state_root=_quoted(f"AETHERFLOW_STATE_ROOT={state_root}"),
        command=" ".join(map(_quoted, command)),
        stop_seconds=int(settings.shutdown_grace_seconds + CANCEL_SECONDS + SECONDS_TO_SPARE),
    )


def _installed(program: Path) -> Path:
    """Return the path of the installed command: beside the interpreter, else the program itself."""
    beside = Path(sys.executable).with_name("aetherflow")
    return beside if beside.exists() else absolute(program)


def _escaped(text: str) -> str:
    """Escape `%`, which begins a specifier in a unit (systemd.unit(5))."""
    return text.replace("%", "%%")


def _quoted(text: str) -> str:
    """Quote a word of a command line or an assignment, see systemd.syntax(7) and systemd.service(5)."""
    text = _escaped(text).replace("\\", "\\\\").replace('"', '\\"').replace("$", "$$")
    return f'"{text}"' if set(text) & set(" \t'\"\\;") else text
