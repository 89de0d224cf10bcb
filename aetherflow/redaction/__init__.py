"""Mask secrets: every value known to be secret becomes `***` before a record leaves the engine.

`redactor` has the Redactor. `names` decides which names are those of secrets, `values` which values can be
secrets at all, `forms` finds passwords inside texts (`urls`, `pairs`, `commands`), `spellings` lists how a
value may be written, `search` finds them all in one pass. May import nothing of aetherflow.
"""

from aetherflow.redaction.commands import in_words
from aetherflow.redaction.names import names_a_secret
from aetherflow.redaction.redactor import MASK, Redactor, holds_mask
from aetherflow.redaction.spellings import SHORTEST
from aetherflow.redaction.urls import url_password

__all__ = ["MASK", "SHORTEST", "Redactor", "holds_mask", "in_words", "names_a_secret", "url_password"]
