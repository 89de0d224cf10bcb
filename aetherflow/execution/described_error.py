"""An error that the other side of an attempt on a worker has described."""

from __future__ import annotations

from aetherflow.errors import ErrorInfo, StepError


class DescribedError(StepError):
    """What the other side, the engine or a worker, says of an error there; nothing of it is changed."""

    def __init__(self, info: ErrorInfo) -> None:
        super().__init__(info.message, hint=info.hint, code=info.code, kind=info.kind, detail=info.detail)
        self._info = info

    def info(self) -> ErrorInfo:
        """Return the error as it was described."""
        return self._info
