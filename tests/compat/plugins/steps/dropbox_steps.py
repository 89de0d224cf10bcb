from __future__ import annotations

import fnmatch
from dataclasses import replace
from typing import Any, Dict

from aetherflow.core.api import STEP_SKIPPED, STEP_SUCCESS, Step, StepResult, register_step
from helpers import sha256_of


@register_step("dropbox_list")
class DropboxList(Step):
    """List the files of a drop box."""

    required_inputs = {"resource", "remote_dir"}

    def run(self) -> StepResult:
        self.validate()
        box = self.ctx.connectors[self.inputs["resource"]]
        pattern = self.inputs.get("pattern", "*")
        found = [
            replace(meta, rel_path=meta.name)
            for meta in box.list(self.inputs["remote_dir"])
            if fnmatch.fnmatch(meta.name, pattern)
        ]
        self.ctx.log.info("%d files match %s", len(found), pattern)
        out = {"has_data": bool(found), "count": len(found), "files": [m.path for m in found]}
        if not found:
            return StepResult(status=STEP_SKIPPED, output=out, reason="no files")
        return StepResult(status=STEP_SUCCESS, output=out)


@register_step("dropbox_fetch")
class DropboxFetch(Step):
    required_inputs = {"resource", "files"}

    def run(self) -> Dict[str, Any]:
        self.validate()
        box = self.ctx.connectors.get(kind="dropbox", name=self.inputs["resource"])
        dest = self.ctx.artifacts_dir(self.job_id) / self.inputs.get("dest_dir", "in")
        dest.mkdir(parents=True, exist_ok=True)
        local = []
        for remote in self.inputs["files"]:
            target = dest / remote.rsplit("/", 1)[-1]
            scratch = self.ctx.scratch_dir(self.job_id) / target.name
            scratch.write_bytes(box.read_bytes(remote))
            scratch.replace(target)
            local.append({"path": str(target), "sha256": sha256_of(target)})
        return {"local_files": [f["path"] for f in local], "checksums": local, "dest_dir": str(dest)}
