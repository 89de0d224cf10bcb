"""Find the files that a mail gets: paths and globs, their sizes, inline images; blocking."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from aetherflow import FinalError, StepContext
from aetherflow_mail.addresses import one_line
from aetherflow_mail.mail import AttachedFile, encoded_size
from aetherflow_mail.transaction import unreadable

_CID = re.compile(
    r"""(?:src|background)\s*=\s*["']?cid:([^"'\s>]+)|url\(\s*["']?cid:([^"'\s)]+)""", re.IGNORECASE
)
_CID_NAME = re.compile(r"[A-Za-z0-9._@+-]+")


def find_files(
    context: StepContext, attachments: str | Sequence[str] | None, inline_images: Mapping[str, str] | None
) -> list[AttachedFile]:
    """Return the files of a mail, each with its size; one that several globs match is attached once.

    Raises:
        StepError: a path leaves the job's artifacts folder; a file is missing or cannot be read, or a glob
            matches nothing (AF371).
    """
    texts = [attachments] if isinstance(attachments, str) else list(attachments or ())
    paths = dict.fromkeys(path for text in texts for path in _matches(context, text))
    images = [(context.path(text), cid) for cid, text in (inline_images or {}).items()]
    return [*(_file(path, "") for path in paths), *(_file(path, cid) for path, cid in images)]


def check_size(files: Sequence[AttachedFile], most: int, written: str) -> None:
    """Check what the files will have in the mail, before anything is sent.

    Raises:
        FinalError: together they are larger than `max_size` (AF371).
    """
    total = sum(encoded_size(file.size) for file in files)
    if total > most:
        largest = sorted(files, key=lambda file: -file.size)[:3]
        named = ", ".join(f"{file.name} ({file.size:,} bytes)" for file in largest)
        raise FinalError(
            f"the attachments have {total:,} bytes in the mail, where base64 makes them a third larger; "
            f"max_size is {written}. The largest: {named}",
            hint="pack them, or upload them and send a link; if the server takes more, raise max_size",
            code="AF371",
        )


def check_images(html: str, images: Mapping[str, str] | None) -> None:
    """Check that the HTML text and the inline images go together.

    Raises:
        FinalError: the text shows an image that is not given, or there is no HTML text (AF371).
    """
    given = images or {}
    if given and not html:
        raise FinalError("inline_images need an HTML text", hint="add html: true", code="AF371")
    for cid in given:
        if not _CID_NAME.fullmatch(cid):
            raise FinalError(
                f"inline_images has the name {cid!r}", hint="use letters, digits and ._@+-", code="AF371"
            )
    shown = {first or second for first, second in _CID.findall(html)}
    if unknown := sorted(shown - given.keys()):
        raise FinalError(
            f"the HTML text shows cid:{unknown[0]}, which is not among the inline_images",
            hint=f"add inline_images: {{{unknown[0]}: PATH}}",
            code="AF371",
        )


def _matches(context: StepContext, text: str) -> Iterator[Path]:
    """Yield the files of a path or glob; a file whose name has such characters is taken as it is."""
    path = context.path(text)
    if not glob.has_magic(text) or path.exists():
        yield path
        return
    found = [Path(name) for name in sorted(glob.glob(str(path), recursive=True))]  # noqa: PTH207 - an absolute glob
    files = [one for one in found if one.is_file()]
    if not files:
        raise FinalError(
            f"no file matches the attachment {text!r} in {path.parent}",
            hint="check the glob; if there may be none, send in a job with `when`",
            code="AF371",
        )
    for file in files:
        yield context.path(str(file))  # a link must not lead elsewhere


def _file(path: Path, cid: str) -> AttachedFile:
    file = AttachedFile(path, one_line("an attachment's name", path.name), 0, cid)
    try:
        if not path.is_file():
            what = "is a folder" if path.is_dir() else "does not exist"
            raise FinalError(
                f"the attachment {path} {what}",
                hint="relative paths start in the artifacts of the job; for a folder, pack it",
                code="AF371",
            )
        with path.open("rb"):
            return AttachedFile(path, file.name, path.stat().st_size, cid)
    except OSError as error:
        raise unreadable(file, error) from error
