"""Import smbprotocol without what takes half of that time and SMB never uses: the CredSSP of pyspnego.

CredSSP brings TLS and X.509 along; SMB logs in by NTLM or Kerberos.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

_CREDSSP = "spnego._credssp"


@contextmanager
def without_credssp() -> Iterator[None]:
    """Import pyspnego in this block without CredSSP; the first login that uses that imports it."""
    if "spnego" in sys.modules:
        yield
        return
    stand_in: Any = ModuleType(_CREDSSP)
    stand_in.CredSSPProxy = _credssp
    sys.modules[_CREDSSP] = stand_in
    try:
        yield
    finally:
        if sys.modules.get(_CREDSSP) is stand_in:
            del sys.modules[_CREDSSP]


def _credssp(*arguments: Any, **keywords: Any) -> Any:
    """Make the object that pyspnego makes of its class: other plugins of the process may log in so."""
    from spnego._credssp import CredSSPProxy  # noqa: PLC0415 - slow to import

    return CredSSPProxy(*arguments, **keywords)
