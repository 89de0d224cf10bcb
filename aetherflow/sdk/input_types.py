"""Types for the inputs and the config of plugins: a duration, and a path of the job."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from aetherflow.spec.spelling import AS_DURATION, IS_DURATION, IS_PATH

Duration = Annotated[float, Meta(extra=IS_DURATION, extra_json_schema=AS_DURATION)]
"""Seconds as a float; flows may write 90, 90s, 5m, 1h30m. With limits: Annotated[Duration, Meta(gt=0)]."""

PathText = Annotated[str, Meta(extra=IS_PATH)]
"""A path that a step gives to `context.path`; `validate` refuses one that begins with `~` or `$HOME`."""
