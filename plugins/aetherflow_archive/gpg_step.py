"""The step `gpg`: encrypt, decrypt, sign or verify files by the installed GnuPG."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from aetherflow import Dataset, PathText, Skipped, StepContext, StepError, StepResult, step
from aetherflow_archive.collected_files import ItemPattern, collect
from aetherflow_archive.gpg_program import Gpg, GpgResult, signatures_of
from aetherflow_archive.publishing import hidden_folder, move, not_written

Text = Annotated[str, Meta(min_length=1)]
Action = Literal["encrypt", "decrypt", "sign", "verify"]
_ENDINGS = (".gpg", ".pgp", ".asc", ".sig")


class GpgFile(msgspec.Struct, frozen=True):
    """A file of a listing; other keys do not matter.

    Attributes:
        path: the file.
    """

    path: str


class GpgInput(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The inputs of `gpg`.

    Attributes:
        action: encrypt, decrypt, sign (a signature beside the file, or with encrypt in it) or verify.
        files: a path, a pattern such as `*.csv`, a list of them, or the files of a listing; relative to the
            job's artifacts.
        dest_dir: the folder of the results, relative to the job's artifacts. Default: beside each file.
        recipients: whose public keys encrypt: fingerprints, or mail addresses.
        passphrase: unlocks the secret key; with `encrypt` and no recipients it encrypts by itself.
        sign_by: the key that signs: a fingerprint or mail address. Default for `sign`: gpg's own.
        signed_by: fingerprints: with decrypt and verify, a file without a good signature of one of them is an
            error.
        armor: whether the results are text.
        trust_recipients: whether a key is used that nobody has certified; give its fingerprint then.
        overwrite: whether results that exist are replaced; else they are an error.
        home: the folder of the keys. Default: the GNUPGHOME of the run, or ~/.gnupg.
        program: the program.
    """

    action: Action
    files: str | list[str | GpgFile]
    dest_dir: PathText | None = None
    recipients: list[Text] | None = None
    passphrase: Text | None = None
    sign_by: Text | None = None
    signed_by: list[Text] | None = None
    armor: bool = False
    trust_recipients: bool = False
    overwrite: bool = True
    home: PathText | None = None
    program: Text = "gpg"

    def __post_init__(self) -> None:
        """Check what belongs together.

        Raises:
            ValueError: an input is missing, or belongs to another action.
        """
        if self.action == "encrypt" and not (self.recipients or self.passphrase):
            raise ValueError("action: encrypt needs recipients, or a passphrase")
        if self.recipients and self.action != "encrypt":
            raise ValueError("recipients belong to action: encrypt")
        if self.signed_by and self.action not in ("decrypt", "verify"):
            raise ValueError("signed_by belongs to action: decrypt or verify")
        if self.files == "" or (isinstance(self.files, list) and "" in self.files):
            raise ValueError("a file is empty")
        if "\n" in (self.passphrase or "").rstrip("\n"):
            raise ValueError("the passphrase has several lines, and gpg reads the first one only")
        if self.sign_by and self.action not in ("encrypt", "sign"):
            raise ValueError("sign_by belongs to action: encrypt or sign")

    @property
    def patterns(self) -> list[ItemPattern]:
        """What is to be worked on."""
        given = [self.files] if isinstance(self.files, str) else self.files
        return [
            ItemPattern(one) if isinstance(one, str) else ItemPattern(one.path, may_be_pattern=False)
            for one in given
        ]


class GpgDone(msgspec.Struct, frozen=True):
    """One file that was worked on.

    Attributes:
        source: its absolute path.
        path: the absolute path of the result; of a verified file its own.
        size: the bytes of the result.
        signed_by: the fingerprint of the key whose good signature it has; empty if it has none.
    """

    source: str
    path: str
    size: int
    signed_by: str


class GpgOutput(msgspec.Struct, frozen=True):
    """The outputs of `gpg`.

    Attributes:
        files: the absolute paths of the results.
        results: one entry for each file.
        count: how many they are.
    """

    files: list[str]
    results: list[GpgDone]
    count: int


@step("gpg")
async def gpg(ctx: StepContext, inputs: GpgInput) -> GpgOutput | StepResult:
    """Encrypt, decrypt, sign or verify files, each whole or not at all; SKIPPED when nothing matches.

    Raises:
        StepError: gpg refuses a file, a key or passphrase is missing, or a signature is not good.
    """
    home = await ctx.run_sync(_home, ctx, inputs.home) if inputs.home else None
    return await ctx.run_sync(_all, ctx, inputs, Gpg(ctx, inputs.program, home, inputs.passphrase))


def _home(ctx: StepContext, text: str) -> Path:
    home = ctx.path(text)
    if not home.is_dir():  # gpg says that it does not know the keys
        raise StepError(
            f"there is no folder {home} of keys", hint="correct home, or import keys there", code="AF987"
        )
    return home


def _all(ctx: StepContext, inputs: GpgInput, program: Gpg) -> GpgOutput | StepResult:
    sources = _sources(ctx, inputs)
    if not sources:
        return Skipped("no file matches the input files", {"files": [], "results": [], "count": 0})
    folder = Path(os.path.normpath(ctx.path(inputs.dest_dir))) if inputs.dest_dir else None
    targets = {source: _target(inputs, source, folder or source.parent) for source in sources}
    _check_targets(targets, inputs)
    results = []
    for number, (source, target) in enumerate(targets.items()):
        ctx.raise_if_stopping()
        try:
            results.append(_one(ctx, inputs, program, source, target))
        except OSError as error:
            raise not_written(error, target) from error
        ctx.progress(number + 1, len(targets), "files", source.name)
    return GpgOutput([one.path for one in results], results, len(results))


def _sources(ctx: StepContext, inputs: GpgInput) -> list[Path]:
    found = collect(inputs.patterns, ctx.path, Path("/"), recursive=False, leave_out=None)
    sources = [member.path for member in found.members]
    if inputs.action != "verify":
        return sources
    signatures = {signature for path in sources for signature in signatures_of(path)}
    return [path for path in sources if path not in signatures]  # `*` means the files, not what signs them


def _target(inputs: GpgInput, source: Path, folder: Path) -> Path:
    match inputs.action:
        case "encrypt":
            return folder / f"{source.name}{'.asc' if inputs.armor else '.gpg'}"
        case "sign":
            return folder / f"{source.name}{'.asc' if inputs.armor else '.sig'}"
        case "decrypt":
            return folder / (source.stem if source.suffix in _ENDINGS else f"{source.name}.decrypted")
        case "verify":
            return source


def _check_targets(targets: dict[Path, Path], inputs: GpgInput) -> None:
    """Check that each file has a place of its own.

    Raises:
        StepError: two results would be one file (AF395), or one exists and must stay (AF396).
    """
    if inputs.action == "verify":
        return
    places: dict[Path, Path] = {}
    for source, target in targets.items():
        if other := places.get(target):
            raise StepError(
                f"{other} and {source} would both become {target}",
                hint="work on them in two steps with two dest_dir",
                code="AF395",
            )
        places[target] = source
        if not inputs.overwrite and os.path.lexists(target):
            raise StepError(f"{target} exists", hint="overwrite: true replaces it", code="AF396")


def _one(ctx: StepContext, inputs: GpgInput, program: Gpg, source: Path, target: Path) -> GpgDone:
    what = f"{inputs.action} {source}"
    if inputs.action == "verify":
        result = program.verify(source)
        _check_signature(source, inputs.signed_by, result)
        return GpgDone(str(source), str(source), source.stat().st_size, result.signed_by)
    with ctx.writing(target) as part:
        # gpg makes its file itself: in a folder that nobody else can see into.
        with hidden_folder(target.parent, f"{ctx.idempotency_key} {target}") as folder:
            result = program.run(_arguments(inputs), source, folder / "result", what)
            if inputs.action == "decrypt" and inputs.signed_by:
                _check_signature(source, inputs.signed_by, result)
            move(folder / "result", part)
        size = part.stat().st_size
    ctx.lineage(reads=[Dataset.file(source)], writes=[Dataset.file(target, size=size)])
    return GpgDone(str(source), str(target), size, result.signed_by)


def _arguments(inputs: GpgInput) -> list[str]:
    """Return the arguments of gpg for an action that writes a file."""
    if inputs.action == "decrypt":
        return ["--decrypt"]
    options = ["--armor"] * inputs.armor
    options += ["--local-user", inputs.sign_by] if inputs.sign_by else []
    if inputs.action == "sign":
        return [*options, "--detach-sign"]
    options += ["--no-auto-key-locate"]  # a key from the network is none that this machine has
    options += ["--trust-model", "always"] if inputs.trust_recipients else []
    options += ["--sign"] if inputs.sign_by else []
    recipients = [word for one in inputs.recipients or () for word in ("--recipient", one)]
    return [*options, *(["--encrypt", *recipients] if recipients else ["--symmetric"])]


def _check_signature(source: Path, wanted: Sequence[str] | None, result: GpgResult) -> None:
    """Check that one of the wanted keys made a good signature.

    Raises:
        StepError: it has none, or that of another key (AF989).
    """
    keys = {one.replace(" ", "").upper() for one in wanted or ()}
    if keys and keys & {result.signed_by, result.signed_by_primary}:
        return
    if keys:
        who = f"it is signed by {result.signed_by}" if result.signed_by else "it has no good signature"
        raise StepError(
            f"{source} is not signed by the keys that signed_by names: {who}",
            hint="check where the file comes from; signed_by takes whole fingerprints",
            code="AF989",
        )
