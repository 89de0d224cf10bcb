from __future__ import annotations

import json
from pathlib import Path

from aetherflow.core.api import STEP_SKIPPED, STEP_SUCCESS, Step, StepResult, register_step


@register_step("publish_report")
class PublishReport(Step):
    """Copy a report to where it is published; one at a time."""

    required_inputs = {"report", "target"}

    def run(self):
        self.validate()
        key = f"publish:{self.inputs['target']}"
        if not self.ctx.acquire_lock(key, ttl_seconds=60):
            return StepResult(
                status=STEP_SKIPPED, output={"published": False}, reason="somebody else publishes"
            )
        try:
            again = self.ctx.acquire_lock(key, ttl_seconds=60)
            target = Path(self.ctx.env["PUBLISH_ROOT"]) / self.inputs["target"]
            target.write_text(Path(self.inputs["report"]).read_text(encoding="utf-8"), encoding="utf-8")
            manifest = self.ctx.manifests_dir(self.job_id) / "published.json"
            manifest.write_text(json.dumps({"run": self.ctx.run_id, "step": self.id}), encoding="utf-8")
        finally:
            self.ctx.release_lock(key)
        return StepResult(STEP_SUCCESS, {"published": True, "manifest": str(manifest), "again": again})


@register_step("forgets_its_lock")
class ForgetsItsLock(Step):
    def run(self):
        return {"taken": self.ctx.acquire_lock(self.inputs["key"], 60)}
