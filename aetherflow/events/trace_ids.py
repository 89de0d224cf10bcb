"""Compute the trace and span ids of runs, jobs and steps (W3C Trace Context). Imports nothing of aetherflow.

They are computed from the ids alone, so every process comes to the same ones. A run that began inside a trace
belongs to that one: `RunStarted.traceparent` has it, and every `RunResumed` repeats it.
"""

from __future__ import annotations

import re
from functools import lru_cache
from hashlib import blake2b

import msgspec

_VERSION = "00"
_TRACEPARENT = re.compile(
    r"(?P<version>[0-9a-f]{2})-(?P<trace>[0-9a-f]{32})-(?P<span>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})(?P<more>-.*)?",
    re.ASCII,
)
_KNOWN_FLAGS = 0b11
"""Sampled, and a random trace id; a version 00 that is passed on has no others."""
_MEMBER = re.compile(
    r"(?:[a-z][a-z0-9_\-*/]{0,255}|[a-z0-9][a-z0-9_\-*/]{0,240}@[a-z][a-z0-9_\-*/]{0,13})"
    r"=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]",
    re.ASCII,
)
MOST_MEMBERS = 32
MOST_CHARACTERS = 512
"""How long a `tracestate` may be that is passed on: the length that W3C Trace Context asks of everyone."""


class RunTrace(msgspec.Struct, frozen=True):
    """The trace of a run, and which execution of it goes on.

    Attributes:
        traceparent: the span in which the run began, as `checked_traceparent` returns it; empty: none.
        tracestate: what systems of that trace pass on with it.
        execution: 1 when the run starts, one more with each resume: what runs again gets spans of its own.
    """

    flow_id: str
    run_id: str
    traceparent: str = ""
    tracestate: str = ""
    execution: int = 1

    @property
    def trace_id(self) -> str:
        """16 bytes as 32 hexadecimal digits."""
        return self.traceparent[3:35] if self.traceparent else trace_id(self.flow_id, self.run_id)

    def span_id(self, job_id: str = "", step_id: str = "", attempt: int = 1) -> str:
        """Return the span id of an attempt of a step, of a job or of the run, each in this execution."""
        number = attempt if step_id else 1
        return span_id(self.flow_id, self.run_id, job_id, step_id, self.execution, max(number, 1))

    def variables(self, job_id: str, step_id: str, attempt: int) -> dict[str, str]:
        """Return the variables that make a program continue the trace below an attempt of a step."""
        flags = self.traceparent[-2:] if self.traceparent else "01"
        span = self.span_id(job_id, step_id, attempt)
        found = {"TRACEPARENT": f"{_VERSION}-{self.trace_id}-{span}-{flags}"}
        return found | {"TRACESTATE": self.tracestate} if self.tracestate else found


@lru_cache(maxsize=256)
def trace_id(flow_id: str, run_id: str) -> str:
    """Return the trace id of a run that began inside no trace: 16 bytes as 32 hexadecimal digits."""
    return _hashed(16, flow_id, run_id)


@lru_cache(maxsize=4096)
def span_id(
    flow_id: str, run_id: str, job_id: str = "", step_id: str = "", execution: int = 1, attempt: int = 1
) -> str:
    """Return the span id of a run, a job or an attempt of a step: 8 bytes as 16 hexadecimal digits."""
    again = () if execution == attempt == 1 else (str(execution), str(attempt))
    return _hashed(8, flow_id, run_id, job_id, step_id, *again)


def checked_traceparent(text: str) -> str:
    """Return a `TRACEPARENT` as this version of the standard writes it; empty if it is none.

    Of a later version of the standard the four known parts count; what follows them is left out.
    """
    match = _TRACEPARENT.fullmatch(text.strip())
    if match is None or match["version"] == "ff" or (match["version"] == _VERSION and match["more"]):
        return ""
    if not match["trace"].strip("0") or not match["span"].strip("0"):
        return ""
    flags = int(match["flags"], 16) & _KNOWN_FLAGS
    return f"{_VERSION}-{match['trace']}-{match['span']}-{flags:02x}"


def checked_tracestate(text: str) -> str:
    """Return a `TRACESTATE` if it may be passed on, else an empty text."""
    members = [member.strip(" \t") for member in text.split(",")]
    kept = [member for member in members if member]
    keys = {member.partition("=")[0] for member in kept}
    if len(kept) > MOST_MEMBERS or len(keys) < len(kept) or not all(map(_MEMBER.fullmatch, kept)):
        return ""
    joined = ",".join(kept)
    return joined if len(joined) <= MOST_CHARACTERS else ""


def _hashed(size: int, *ids: str) -> str:
    text = "\0".join(ids).encode(errors="surrogatepass")
    return blake2b(text, digest_size=size, person=b"aetherflow").hexdigest()
