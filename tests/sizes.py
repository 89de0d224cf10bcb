"""How much a test draws, repeats or waits: little in every run, much in `just torture`."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest

LARGE = os.environ.get("AETHERFLOW_TORTURE") == "large"


def examples(small: int, large: int | None = None, **more: Any) -> Callable[[Any], Any]:
    """Let a property be tried with so many examples; with ten times as many, or `large`, in the large run."""
    settings = hypothesis.settings(max_examples=(large or 10 * small) if LARGE else small, **more)

    def decorate(test: Any) -> Any:
        return pytest.mark.sized(settings(test))

    return decorate
