"""smbprotocol is imported without CredSSP, which other plugins of the process may use nevertheless."""

from __future__ import annotations

import subprocess
import sys

CODE = """
import sys
from aetherflow_smb.quick_import import without_credssp
with without_credssp():
    import spnego
assert "spnego._credssp" not in sys.modules
assert "cryptography.x509" not in sys.modules
context = spnego.client("user", "password", protocol="credssp")
print(type(context).__module__)
"""


def test_credssp_is_imported_by_the_first_login_that_uses_it() -> None:
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=False)
    assert done.stdout.strip() == "spnego._credssp", done.stderr
