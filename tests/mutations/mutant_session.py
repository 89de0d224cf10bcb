"""A plugin of pytest for test runs on changed sources: they end in time, examples are not made smaller."""

from __future__ import annotations

import faulthandler
import os

import hypothesis
import pytest


@pytest.hookimpl(trylast=True)
def pytest_configure() -> None:
    """Draw the same examples each time; end when the time is over, also if the tool has been killed."""
    hypothesis.settings.register_profile(
        "mutants",
        derandomize=True,
        deadline=None,
        database=None,
        phases=[hypothesis.Phase.explicit, hypothesis.Phase.generate],
    )
    hypothesis.settings.load_profile("mutants")
    faulthandler.dump_traceback_later(float(os.environ["MUTANT_SECONDS"]) + 5, exit=True)
