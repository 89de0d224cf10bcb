"""Call GnuPG and read what it reports.

Its status lines (`[GNUPG:] NAME ...`) are those of doc/DETAILS in its source; they are in no language.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import msgspec

from aetherflow import ProgramResult, StepContext, StepError, run_program

_STATUS = re.compile(r"^\[GNUPG:\] (\w+) ?(.*)$", re.MULTILINE)
_SIGNATURES = (".sig", ".asc", ".gpg")
_PRIMARY_KEY = 9
_SHOWN = 500
_ABOUT_OTHER_KEYS = {"NO_PUBKEY", "NO_SECKEY"}
"""What gpg says of a file that it decrypted, but whose signature it cannot check."""


class GpgResult(msgspec.Struct, frozen=True):
    """What gpg reports of a file.

    Attributes:
        signed_by: the fingerprint of the key whose good signature it has; empty if it has none.
        signed_by_primary: of the main key that this key belongs to.
    """

    signed_by: str = ""
    signed_by_primary: str = ""


class _Reason(msgspec.Struct, frozen=True):
    """Why gpg failed, and what to do; `{0}` is what its status line says."""

    why: str
    hint: str


_REASONS: Mapping[str, _Reason] = {
    "BADSIG": _Reason(
        "the signature is wrong: the file was changed after it was signed",
        "fetch it again, or ask its sender",
    ),
    "EXPKEYSIG": _Reason("the key that signed it has expired", "ask its sender for a newer key"),
    "EXPSIG": _Reason("its signature has expired", "ask its sender to sign it again"),
    "REVKEYSIG": _Reason("the key that signed it has been revoked", "ask its sender for a newer key"),
    "BAD_PASSPHRASE": _Reason("the passphrase is wrong", "check the input passphrase"),
    "MISSING_PASSPHRASE": _Reason("the key has a passphrase, and none is given", "set the input passphrase"),
    "NO_SECKEY": _Reason(
        "it is encrypted for a key that is not here ({0})", "import the secret key, or set home to its folder"
    ),
    "NO_PUBKEY": _Reason(
        "it is signed by a key that is not here ({0})", "import the public key, or set home to its folder"
    ),
    "INV_RECP": _Reason(
        "there is no usable key of a recipient ({0})",
        "import it; for one that nobody certified, give its fingerprint and trust_recipients: true",
    ),
    "INV_SGNR": _Reason("there is no usable key that signs ({0})", "import it, or correct sign_by"),
    "NODATA": _Reason("it is no OpenPGP data, or is cut off", "check what was fetched"),
    "BADMDC": _Reason("it was changed after it was encrypted", "fetch it again, or ask its sender"),
    "DECRYPTION_FAILED": _Reason(
        "it cannot be decrypted: it is damaged, or the passphrase is wrong",
        "fetch it again; check passphrase",
    ),
}
"""By the status line; the first one here that gpg printed is the reason."""


_NO_SIGNATURE = {
    "NODATA": _Reason("it has no signature", "put its signature beside it: FILE.sig, FILE.asc or FILE.gpg")
}
_WRONG_PASSPHRASE, _CODE_BITS = 11, 0xFFFF
"""Of an error code of libgpg-error, which says more than the name of the line: GPG_ERR_BAD_PASSPHRASE."""


def signatures_of(path: Path) -> list[Path]:
    """Return where the signature of a file may be: beside it."""
    return [path.with_name(f"{path.name}{ending}") for ending in _SIGNATURES]


class Gpg:
    """GnuPG as one step calls it; its methods block.

    Args:
        context: of the step.
        program: the program.
        home: the folder of the keys; None: what the environment says.
        passphrase: unlocks the secret key; gpg reads it from its standard input.
    """

    def __init__(self, context: StepContext, program: str, home: Path | None, passphrase: str | None) -> None:
        self._context = context
        self._argv = [program, "--batch", "--no-tty", "--status-fd", "1", "--pinentry-mode", "loopback"]
        self._argv += ["--homedir", str(home)] if home else []
        self._argv += ["--passphrase-fd", "0"] if passphrase else []
        self._stdin = f"{passphrase}\n".encode(errors="surrogateescape") if passphrase else b""

    def run(self, arguments: Sequence[str], source: Path, target: Path, what: str) -> GpgResult:
        """Make a file of another one.

        Args:
            arguments: the action and its options.
            source: the file.
            target: the file that is made; nothing is there.
            what: what to call it in an error.

        Raises:
            StepError: gpg cannot do it (AF987), or the step must stop.
        """
        return self._call(["--output", str(target), *arguments, "--", str(source)], what)

    def verify(self, source: Path) -> GpgResult:
        """Check the signature of a file: in a file beside it, or in itself.

        Raises:
            StepError: it has no good signature (AF987, AF989).
        """
        beside = next((path for path in signatures_of(source) if path.is_file()), None)
        files = [str(source)] if beside is None else [str(beside), str(source)]
        others = _NO_SIGNATURE if beside is None else {}
        result = self._call(["--verify", "--", *files], f"verify {source}", others)
        if not result.signed_by:
            raise StepError(f"{source} has no good signature", hint="ask its sender to sign it", code="AF989")
        return result

    def _call(
        self, arguments: Sequence[str], what: str, others: Mapping[str, _Reason] | None = None
    ) -> GpgResult:
        argv = [*self._argv, *arguments]
        result = self._context.run_async(partial(run_program, self._context, argv, stdin=self._stdin))
        lines = _STATUS.findall(result.stdout.decode("utf-8", "replace"))
        status = dict(lines)
        failed = [name for name in _REASONS if name in status or name in self._implied(lines)]
        if result.exit_code != 0 and "DECRYPTION_OKAY" in status and set(failed) <= _ABOUT_OTHER_KEYS:
            self._context.log(
                f"{what}: its signature is of a key that is not here, so that it says nothing", "warning"
            )
            return GpgResult()
        if result.exit_code == 0 and "BADSIG" not in failed:
            valid = status.get("VALIDSIG", "").split()
            return GpgResult(valid[0], valid[_PRIMARY_KEY]) if len(valid) > _PRIMARY_KEY else GpgResult()
        first = failed[0] if failed else ""
        reason = {**_REASONS, **(others or {})}.get(first)
        number, _, named = status.get(first, "").partition(" ")
        raise _failure(what, result, reason, named or number)

    def _implied(self, lines: Sequence[tuple[str, str]]) -> set[str]:
        """Return the status lines that gpg leaves out in batch mode."""
        found = set()
        for name, said in lines:
            code = said.rpartition(" ")[2]
            is_wrong = code.isdecimal() and int(code) & _CODE_BITS == _WRONG_PASSPHRASE
            if name in ("FAILURE", "ERROR") and is_wrong:
                found.add("BAD_PASSPHRASE")
            if name in ("NEED_PASSPHRASE", "NEED_PASSPHRASE_SYM") and not self._stdin:
                found.add("MISSING_PASSPHRASE")
        return found


def _failure(what: str, result: ProgramResult, reason: _Reason | None, said: str) -> StepError:
    printed = result.stderr.decode("utf-8", "replace").strip()
    if reason is None:
        last = printed.splitlines()[-1] if printed else f"it ended with exit code {result.exit_code}"
        reason = _Reason(last, "its output says more")
        said = ""
    return StepError(
        f"cannot {what}: {reason.why.replace('{0}', said)}",
        hint=reason.hint,
        detail={"output": printed[-_SHOWN:]},
        code="AF987",
    )
