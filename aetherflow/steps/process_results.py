"""Check and collect the files that a program leaves: success checks, success marker, output folder.

Everything here reads and changes files, so it is called in worker threads.
"""

from __future__ import annotations

import glob
import json
import os
import shutil
from pathlib import Path

import msgspec

from aetherflow.errors import StepError
from aetherflow.sdk.context import StepContext
from aetherflow.steps.process_failure import OUTPUT_FAILED
from aetherflow.steps.process_inputs import IdempotencyInputs, SuccessInputs


class OutputFolder(msgspec.Struct, frozen=True):
    """`atomic_dir`: what the program writes to `temporary` becomes `final` when it succeeded."""

    temporary: Path
    final: Path
    replace: bool = True

    @property
    def _aside(self) -> Path:
        return self.final.with_name(f".{self.final.name}.replaced")

    def prepare(self) -> None:
        """Empty the temporary folder, and finish or undo what a crash left half done.

        Raises:
            StepError: it cannot be emptied or made.
        """
        try:
            if self.final.exists():
                _remove(self._aside)
            elif self._aside.exists():  # died between the two renames: the old content is what counts
                self._aside.rename(self.final)
            _remove(self.temporary)
            self.temporary.mkdir(parents=True)
        except OSError as error:
            raise self._failed(error) from None

    def publish(self) -> None:
        """Make what the program wrote the content of the final folder.

        Raises:
            StepError: it cannot be moved there; the old content is still in place.
        """
        try:
            self.final.parent.mkdir(parents=True, exist_ok=True)
            if self.replace:
                self._swap()
            else:
                shutil.copytree(
                    self.temporary, self.final, symlinks=True, copy_function=shutil.move, dirs_exist_ok=True
                )
                shutil.rmtree(self.temporary)
        except (OSError, shutil.Error) as error:
            raise self._failed(error) from None

    def before_publishing(self, path: Path) -> list[Path]:
        """Return where to look, before publishing, for what will then be at `path`."""
        if not path.is_relative_to(self.final):
            return [path]
        written = self.temporary / path.relative_to(self.final)
        return [written] if self.replace else [written, path]

    def _swap(self) -> None:
        if not os.path.lexists(self.final):
            self.temporary.rename(self.final)
            return
        _remove(self._aside)
        self.final.rename(self._aside)
        try:
            self.temporary.rename(self.final)
        except OSError:
            self._aside.rename(self.final)
            raise
        _remove(self._aside)

    def _failed(self, error: OSError | shutil.Error) -> StepError:
        reason = getattr(error, "strerror", None) or str(error)
        return StepError(
            f"cannot move the output from {self.temporary} to {self.final}: {reason}",
            hint="temp_output_dir and final_output_dir must be on one filesystem and writable; across "
            "filesystems set idempotency.atomic_rename: false",
            code=OUTPUT_FAILED,
        )


def output_folder(context: StepContext, inputs: IdempotencyInputs) -> OutputFolder | None:
    """Return the folders of `atomic_dir`, or None for another strategy.

    Raises:
        StepError: one folder contains the other, or a path leaves the artifacts folder.
    """
    if inputs.strategy != "atomic_dir" or not inputs.temp_output_dir or not inputs.final_output_dir:
        return None
    temporary, final = context.path(inputs.temp_output_dir), context.path(inputs.final_output_dir)
    if temporary.is_relative_to(final) or final.is_relative_to(temporary):
        raise StepError(
            f"temp_output_dir {temporary} and final_output_dir {final} must not contain each other",
            hint="use two folders side by side",
            code=OUTPUT_FAILED,
        )
    return OutputFolder(temporary, final, inputs.atomic_rename)


def marker(context: StepContext, idempotency: IdempotencyInputs, success: SuccessInputs) -> Path | None:
    """Return the marker of the strategy `marker`, or None."""
    name = idempotency.marker_path or success.marker_file
    return context.path(name) if idempotency.strategy == "marker" and name else None


def write_marker(context: StepContext, path: Path) -> None:
    """Leave the marker of a success, unless the program wrote it itself.

    Raises:
        StepError: it cannot be written.
    """
    content = {"run_id": context.run_id, "job_id": context.job_id, "step_id": context.step_id}
    try:
        if not path.exists():
            with context.writing(path) as temporary:
                temporary.write_text(json.dumps(content) + "\n", encoding="utf-8")
    except OSError as error:
        raise StepError(
            f"cannot write the marker {path}: {error.strerror or error}",
            hint="the program succeeded, but without its marker it will run again",
            code=OUTPUT_FAILED,
        ) from None


def still_holds(context: StepContext, path: Path, success: SuccessInputs) -> bool:
    """Whether the marker exists and the success checks pass.

    A marker that does not hold any more is removed: a failure from now on must not look like a success.

    Raises:
        StepError: it cannot be removed.
    """
    if not path.exists():
        return False
    if not failed_checks(context, success):
        return True
    try:
        path.unlink()
    except OSError as error:
        raise StepError(
            f"cannot remove the old marker {path}: {error.strerror or error}",
            hint="its success checks do not hold any more, so the program must run again",
            code=OUTPUT_FAILED,
        ) from None
    return False


def failed_checks(
    context: StepContext, success: SuccessInputs, folder: OutputFolder | None = None
) -> list[str]:
    """Return a sentence for every success check that does not hold.

    A path in the final folder of `atomic_dir` is looked for in the temporary one, where the program wrote it,
    so that a failure leaves the final folder as it was.
    """

    def places(name: str) -> list[Path]:
        path = context.path(name)
        return folder.before_publishing(path) if folder else [path]

    return [
        *(f"missing file: {name}" for name in success.required if not any(p.exists() for p in places(name))),
        *(
            f"nothing matches: {name}"
            for name in success.patterns
            if not any(_matches(p) for p in places(name))
        ),
        *(f"forbidden file: {name}" for name in success.forbidden if any(p.exists() for p in places(name))),
    ]


def _matches(pattern: Path) -> bool:
    """Whether the pattern matches a file; its longest beginning that exists is taken literally.

    The folders of a run may well have brackets in their names.
    """
    if pattern.exists():
        return True
    base = next(parent for parent in pattern.parents if parent.exists())
    wanted = str(pattern.relative_to(base))
    found = glob.iglob(wanted, root_dir=base, recursive=True, include_hidden=True)  # noqa: PTH207 - as the shell: ** meets files too
    return any(found)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
