"""Conversions: threads that are the first to meet a type, and what does not fit, in words."""

from __future__ import annotations

import subprocess
import sys
from typing import Annotated, Any

import pytest
from msgspec import Meta

from aetherflow.spec.convert import misfit

SCRIPT = """
import sys, threading
from aetherflow.spec.convert import convert
from aetherflow.spec.flow import FlowFile

sys.setswitchinterval(1e-6)
value = {"version": 1, "flow": {"id": "f"}, "jobs": [{"id": "a", "steps": [{"id": "s", "type": "t"}]}]}
together, got = threading.Barrier(8), []

def meet():
    together.wait()
    got.append(convert(value, FlowFile).flow.id)

threads = [threading.Thread(target=meet) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(got == ["f"] * 8)
"""


def test_eight_threads_may_be_the_first_to_convert_to_a_type() -> None:
    """With msgspec's own `convert` five of six such processes ended with a segmentation fault."""
    for _ in range(4):
        done = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stdout, done.stderr) == (0, "True\n", "")


@pytest.mark.parametrize(
    ("kind", "limit", "value", "words"),
    [
        (str, Meta(min_length=1), "", "must not be empty"),
        (list, Meta(min_length=1), [], "must not be empty"),
        (list, Meta(min_length=2), [1], "must have at least 2 entries"),
        (str, Meta(max_length=2), "abc", "must have at most 2 characters"),
        (int, Meta(ge=1), 0, "must be at least 1"),
        (int, Meta(le=64), 99, "must be at most 64"),
        (float, Meta(gt=0), 0, "must be more than 0"),
        (float, Meta(lt=1.5), 2, "must be less than 1.5"),
        (int, Meta(), "x", "Expected `int`, got `str`"),
    ],
)
def test_what_is_beyond_a_limit_is_said_in_words(kind: type, limit: Meta, value: Any, words: str) -> None:
    assert misfit(value, Annotated[kind, limit]) == words
