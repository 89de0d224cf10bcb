"""Be process 1 of a container: run the command in a child, reap orphans, pass signals on. Imports no loop.

The kernel gives every orphan to process 1, which has to read its exit status, or it stays a zombie for ever.
A process that did this among its own children could take a status that a library of a plugin waits for. So
process 1 does nothing else: the command runs in a child, and its children are never those of process 1.
"""

from __future__ import annotations

import os
import signal

from aetherflow import exit_codes

_SENT_BY_THE_KERNEL = 0x80
"""SI_KERNEL of siginfo_t: a key of the terminal, which signals all processes in the foreground."""

_KEYS = {signal.SIGINT, signal.SIGQUIT, signal.SIGTSTP}


def continue_in_a_child() -> None:
    """Return in a child of this process; this process ends with the exit code of that child.

    To be called before anything else has started a thread or a child.
    """
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)  # if it was ignored, the kernel would drop the exit codes
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    child = os.fork()
    if child == 0:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return
    while True:
        received = signal.sigwaitinfo(signal.valid_signals())
        if received.si_signo == signal.SIGCHLD:
            _reap(child)
        elif not (received.si_signo in _KEYS and received.si_code == _SENT_BY_THE_KERNEL):
            os.kill(child, received.si_signo)


def _reap(child: int) -> None:
    """Read the status of every process that has ended; end with that of the child."""
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if pid == child:
            code = os.waitstatus_to_exitcode(status)
            os._exit(code if code >= 0 else exit_codes.of_signal(-code))
