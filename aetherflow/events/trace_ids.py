"""Compute the trace and span ids of runs, jobs and steps (W3C Trace Context). Imports nothing of aetherflow.

They are computed from the ids alone, so every process, and every resume of a run, comes to the same ones.
"""

from __future__ import annotations

from functools import lru_cache
from hashlib import blake2b


@lru_cache(maxsize=256)
def trace_id(flow_id: str, run_id: str) -> str:
    """Return the trace id of a run: 16 bytes as 32 hexadecimal digits."""
    return _hashed(16, flow_id, run_id)


@lru_cache(maxsize=4096)
def span_id(flow_id: str, run_id: str, job_id: str = "", step_id: str = "") -> str:
    """Return the span id of a run, a job or a step: 8 bytes as 16 hexadecimal digits."""
    return _hashed(8, flow_id, run_id, job_id, step_id)


def _hashed(size: int, *ids: str) -> str:
    text = "\0".join(ids).encode(errors="surrogatepass")
    return blake2b(text, digest_size=size, person=b"aetherflow").hexdigest()
