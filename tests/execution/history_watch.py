"""The order of a run, checked event by event, from what the contract says of it."""

from __future__ import annotations

from collections import Counter

from aetherflow.events import run_events as e
from aetherflow.plan.plan import Plan


class Watch:
    """Reads a history in order and checks each event against what went before."""

    def __init__(self, plan: Plan, limit: int) -> None:
        self.limit = limit
        self.jobs = {job.id: job for job in plan.jobs}
        self.ids = [job.id for job in plan.jobs]
        self.ended: dict[str, str] = {}
        self.running: set[str] = set()
        self.open_steps: Counter[str] = Counter()

    def see(self, event: e.Event) -> None:
        match event:
            case e.JobStarted(job_id=job_id):
                self.job_starts(job_id)
            case e.JobFinished(job_id=job_id, status=status):
                self.job_ends(job_id, status)
            case e.StepStarted(job_id=job_id):
                assert job_id in self.running
                self.open_steps[job_id] += 1
                assert self.open_steps[job_id] == 1
            case e.StepRetrying(job_id=job_id):
                self.open_steps[job_id] -= 1
            case e.StepFinished(job_id=job_id):
                self.open_steps[job_id] = 0
            case _:
                pass

    def job_starts(self, job_id: str) -> None:
        job = self.jobs[job_id.partition("[")[0]]
        assert job_id not in self.ended
        if job_id == job.id:
            assert all(self.ended.get(self.ids[need]) == "SUCCESS" for need in job.needs)
            assert all(self.ids[before] in self.ended for before in job.after)
        if job.for_each is None or job_id != job.id:
            self.running.add(job_id)
            assert len(self.running) <= self.limit
            of_job = [name for name in self.running if name.partition("[")[0] == job.id]
            assert len(of_job) <= (job.max_parallel or self.limit)

    def job_ends(self, job_id: str, status: str) -> None:
        assert job_id not in self.ended
        assert self.open_steps[job_id] == 0
        assert not [name for name in self.running if name.startswith(f"{job_id}[")]
        self.running.discard(job_id)
        self.ended[job_id] = status
