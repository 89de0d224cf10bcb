"""Mask what goes into a report once more: with the secrets that are known where it is made."""

from __future__ import annotations

from typing import Any

import msgspec

from aetherflow.admin.run_report.short_texts import cut
from aetherflow.redaction import Redactor
from aetherflow.sdk.json_values import plain_json

VALUE_CHARACTERS = 1500
"""How much of a value is shown."""


class Masking(msgspec.Struct, frozen=True):
    """Masks texts and values with one redactor."""

    redactor: Redactor

    def text(self, text: str) -> str:
        """Return a text without secrets."""
        return self.redactor.text(text) if text else text

    def json(self, value: Any) -> str:
        """Return a value as JSON without secrets, cut where it is long."""
        masked = self.redactor.value(value)
        try:
            text = msgspec.json.encode(masked, enc_hook=str).decode()
        except UnicodeEncodeError:
            text = msgspec.json.encode(plain_json(msgspec.to_builtins(masked, enc_hook=str))).decode()
        return cut(text, VALUE_CHARACTERS)
