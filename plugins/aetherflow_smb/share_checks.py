"""What `doctor --connect` says about a share: login, protection, rights, free space; blocking."""

from __future__ import annotations

from aetherflow import CheckResult, checks
from aetherflow_smb.settings import Protection
from aetherflow_smb.share import READ_FOLDER, WRITE_FOLDER, Share
from aetherflow_smb.share_paths import SharePath

_DIALECTS = {0x0202: "2.0.2", 0x0210: "2.1", 0x0300: "3.0", 0x0302: "3.0.2", 0x0311: "3.1.1"}


def check_share(connection: Share, share: SharePath | None) -> list[CheckResult]:
    """Check a connection, and the share of its resource if it has one; nothing is changed on the server.

    Raises:
        StepError: the share cannot be used.
    """
    session = connection.log_in(connection.login.server)
    dialect = session.connection.dialect
    who = connection.login.username or "the Kerberos ticket of this user"
    version = _DIALECTS.get(dialect, f"0x{dialect:04X}")
    found = [CheckResult("login", "ok", f"{connection.login.server} accepts {who}, with SMB {version}")]
    found.append(_protection(connection, share))
    if share is None:
        hint = "add share to its config"
        return [*found, CheckResult("share", "warning", "the resource names no share: every path must", hint)]
    if not connection.may(share, READ_FOLDER):
        hint = "give the user the right to read on the share and on its folder"
        return [*found, CheckResult("read", "error", f"{who} may not list the share {share.share}", hint)]
    found.append(CheckResult("read", "ok", f"{who} may list the share {share.share}"))
    if connection.may(share, WRITE_FOLDER):
        found.append(CheckResult("write", "ok", f"{who} may write to the share {share.share}"))
    else:
        found.append(CheckResult("write", "ok", f"{who} may only read at the top of the share {share.share}"))
    return [*found, checks.free_space_check(connection.free_bytes(share), f"on the share {share.share}")]


def _protection(connection: Share, share: SharePath | None) -> CheckResult:
    match connection.protection(share):
        case Protection.ENCRYPTED:
            return CheckResult("protection", "ok", "the connection is encrypted")
        case Protection.SIGNED:
            return CheckResult("protection", "ok", "the connection is signed, not encrypted")
        case Protection.NONE:
            hint = "set signing: true or encrypt: true in the config"
            return CheckResult(
                "protection", "warning", "the connection is neither signed nor encrypted", hint
            )
