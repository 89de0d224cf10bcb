"""A plugin of pytest for test runs on changed sources: they end in time, examples are not made smaller."""

from __future__ import annotations

import faulthandler
import os
import sys

import hypothesis
import pytest

_stderr = 2


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Draw examples, but do not make a failing one smaller; watch the time of collection and tests."""
    hypothesis.settings.register_profile(
        "mutants",
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    global _stderr  # noqa: PLW0603  known before output is captured
    _stderr = os.dup(sys.stderr.fileno())
    _watch()


def pytest_runtest_logstart() -> None:
    """Give the next test its time."""
    _watch()


def _watch() -> None:
    """End the process if this is not called again in time; also if the tool has been killed."""
    faulthandler.dump_traceback_later(float(os.environ["MUTANT_SECONDS"]), exit=True, file=_stderr)
