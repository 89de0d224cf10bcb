"""The type of a duration, for the Structs of plugins."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from aetherflow.spec.spelling import AS_DURATION, IS_DURATION

Duration = Annotated[float, Meta(extra=IS_DURATION, extra_json_schema=AS_DURATION)]
"""Seconds as a float; flows may write 90, 90s, 5m, 1h30m. With limits: Annotated[Duration, Meta(gt=0)]."""
