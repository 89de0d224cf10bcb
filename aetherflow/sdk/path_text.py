"""The type of an input that is a path: below the artifacts of the job, or absolute."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

from aetherflow.spec.spelling import IS_PATH

PathText = Annotated[str, Meta(extra=IS_PATH)]
"""A path that a step gives to `context.path`; `validate` refuses one that begins with `~` or `$HOME`."""
