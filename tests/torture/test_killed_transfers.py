"""kill -9 of the engine while 200 files are downloaded, archived, uploaded and reported by mail.

The real command moves them between real servers. Its process is killed when a random share of the work is
done, or a random time after its start, or as its mail is taken; and it is started again until it ends.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.polling import wait_until
from tests.servers.openssh import needs_openssh
from tests.servers.smtp_server import MailServer, smtp_server
from tests.sizes import LARGE
from tests.torture.far_servers import FarServer, ServerName, content_of, far_server, is_temporary, wrong_files
from tests.torture.processes import UNIQUE, marked, query, said, seed, start

FILES = 200
KILLS = 25 if LARGE else 3
KILLS_OF_A_RUN = 5
DEADLINE_SECONDS = 120.0

pytestmark = [pytest.mark.torture, pytest.mark.asyncio]


def make_files(folder: Path, chance: random.Random) -> dict[str, str]:
    """Write the files, some in folders below, and return their checksums."""
    for number in range(FILES):
        size = 0 if number == 7 else 3_000_000 if number % 67 == 0 else chance.randrange(1, 20_000)
        path = folder / f"day{number % 3}" / f"{number:03}.csv" if number % 4 else folder / f"{number:03}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(size))
        os.utime(path, (1_700_000_000 + number,) * 2)
    return content_of(folder)


class Night:
    """One run of the flow: its folders, its process, and who kills that."""

    def __init__(
        self, root: Path, run_id: str, source: FarServer, target: FarServer, mail: MailServer
    ) -> None:
        self.root = root
        self.run_id = run_id
        self.flow = root / "flow.yaml"
        self.database = root / "state.sqlite"
        self.mail = mail
        self.out, self.archive = source.folder / f"{run_id}-out", source.folder / f"{run_id}-archive"
        self.local, self.target = root / f"{run_id}-local", target.folder / f"{run_id}-in"
        self.kills: Counter[str] = Counter()
        self.mails_in_the_window = 0
        self._process: int | None = None
        self.flow.write_text(json.dumps(self._content(source, target)))
        mail.mails.clear()

    def _content(self, source: FarServer, target: FarServer) -> dict[str, Any]:
        def step(name: str, kind: str, **inputs: Any) -> dict[str, Any]:
            return {"id": name, "type": kind, "inputs": inputs}

        look = step("look", "sftp_list_files", resource="source", recursive=True)
        look["inputs"]["remote_dir"] = f"{source.root}/{self.out.name}"
        look["outputs"] = {"files": "{{result.files}}"}
        get = step("get", "sftp_download_files", resource="source", files="{{steps.look.files}}")
        get["inputs"] |= {"dest_dir": str(self.local), "after": "move"}
        get["inputs"]["move_to"] = f"{source.root}/{self.archive.name}"
        put = step("put", f"{target.kind}_upload_files", resource="target", src_dir=str(self.local))
        put["inputs"] |= {"recursive": True, "remote_dir": f"{target.root}/{self.target.name}"}
        body = "{{steps.get.count}} {{steps.get.after.count}} {{steps.put.count}}"
        report = step("report", "mail_send", resource="post", to="ann@example.org", subject="done", body=body)
        config = {"host": "127.0.0.1", "port": self.mail.port, "starttls": True, "ca": str(self.mail.ca_file)}
        post = {"kind": "mail", "driver": "smtp", "config": {**config, "from_addr": "ops@example.org"}}
        return {
            "version": 1,
            "flow": {
                "id": "night",
                "workspace": {"root": str(self.root / "work"), "cleanup_policy": "never"},
                "state": {"path": str(self.database)},
            },
            "resources": {"source": source.resource(), "target": target.resource(), "post": post},
            "jobs": [{"id": "night", "steps": [look, get, put, report]}],
        }

    def progress(self) -> int:
        """Return how many files have been downloaded, archived and uploaded in all."""
        places = (self.local, self.archive, self.target)
        return sum(
            path.suffix == ".csv" for place in places if place.exists() for path in place.rglob("*.csv")
        )

    def run_until_killed(self, how: str, chance: random.Random) -> bool:
        """Start the run and kill it; return False if it succeeded before that, as nothing was left to do."""
        share, delay = chance.uniform(self.progress() / (3 * FILES), 1), chance.uniform(0, 0.05)
        moment = time.monotonic() + chance.uniform(0.05, 0.4)
        process = start(self.flow, self.run_id)
        self._process = process.pid if how == "mail" else None
        if how == "progress":
            while self.progress() < share * 3 * FILES - 1 and process.poll() is None:
                time.sleep(0.005)
            time.sleep(delay)
        while how == "mail" and process.poll() is None:
            time.sleep(0.005)  # `at_mail` kills it
        while how == "time" and time.monotonic() < moment and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        code = process.wait()
        assert code in (0, -signal.SIGKILL), f"to be killed ({how}): {said(self.flow, self.run_id)[-4000:]}"
        if code == 0:
            return False
        self.kills[how] += 1
        self.mails_in_the_window += self._is_mail_open() and len(self.mail.mails) > 0
        wait_until(lambda: not marked(self.run_id), "children outlived the engine")
        return True

    async def at_mail(self) -> None:
        """Kill the engine when its mail is here and it has no answer yet; the server takes the mail."""
        if self._process is not None:
            os.killpg(self._process, signal.SIGKILL)
            self._process = None

    def run_to_the_end(self) -> None:
        """Start the run; it must succeed."""
        process = start(self.flow, self.run_id)
        assert process.wait(DEADLINE_SECONDS) == 0, said(self.flow, self.run_id)[-4000:]

    def _is_mail_open(self) -> bool:
        """Whether the journal has the intent to send the mail and not that it was sent."""
        sql = "SELECT event FROM events WHERE run_id = ? AND step_id = 'report'"
        events = {str(event) for (event,) in query(self.database, sql, self.run_id)}
        return "effect_intended" in events and "effect_confirmed" not in events

    def check_between(self, right: dict[str, str]) -> None:
        """Check that names have whole files, and that each source is in one of its two folders."""
        for place in (self.local, self.target, self.archive, self.out):
            if place.exists():
                assert not list(wrong_files(place, right, set())), place

        def sources() -> list[str]:
            places = [place for place in (self.out, self.archive) if place.exists()]
            found = [str(path.relative_to(p)) for p in places for path in p.rglob("*") if path.is_file()]
            return sorted(found)

        wait_until(lambda: sources() == sorted(right), "a source is lost or is there twice")

    def check_at_end(self, right: dict[str, str]) -> int:
        """Check everything that arrived; return how many times the mail was sent again."""
        for place in (self.local, self.target, self.archive):
            assert content_of(place) == right, place
        assert content_of(self.out) == {}
        everywhere = [path for path in self.root.rglob("*") if is_temporary(path)]
        everywhere += [path for path in self.target.parent.rglob("*") if is_temporary(path)]
        assert everywhere == []
        mails = [mail.message for mail in self.mail.mails]
        assert len({mail["Message-ID"] for mail in mails}) == 1
        bodies = {str(mail.get_body(("plain",)).get_content()).strip() for mail in mails}  # type: ignore[union-attr]  # it has one
        assert bodies == {f"{FILES} {FILES} {FILES}"}
        again = len(mails) - 1
        assert again <= self.mails_in_the_window, "a mail was sent twice outside the window of SMTP"
        if again:
            assert "same Message-ID" in said(self.flow, self.run_id)
        assert query(self.database, "PRAGMA integrity_check") == [("ok",)]
        return again


PAIRS: list[Any] = [
    ("asyncssh", "asyncssh"),
    pytest.param("openssh", "samba", marks=needs_openssh),
]


@pytest.mark.parametrize(("source", "target"), PAIRS)
async def test_a_killed_engine_moves_every_file_once(
    source: ServerName,
    target: ServerName,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    number = seed()
    chance = random.Random(f"{number}{source}")  # noqa: S311 - repeatable, keeps no secret
    kills: Counter[str] = Counter()
    runs = again = 0
    async with (
        far_server(source, tmp_path / "source") as one,
        far_server(target, tmp_path / "target", lambda: request.getfixturevalue("samba_server")) as other,
        smtp_server(tmp_path) as mail,
    ):
        while kills.total() < KILLS:
            night = Night(tmp_path, f"night-{source}-{runs}-{UNIQUE}", one, other, mail)
            mail.at_end = night.at_mail
            right = await asyncio.to_thread(make_files, night.out, chance)
            hows = chance.choices(["progress", "time"], [3, 1], k=min(KILLS_OF_A_RUN, KILLS - kills.total()))
            hows[-1] = "mail" if runs % 2 == 0 else hows[-1]

            def one_run(night: Night = night, hows: list[str] = hows, right: dict[str, str] = right) -> int:
                for how in hows:
                    if not night.run_until_killed(how, chance):
                        break
                    night.check_between(right)
                night.run_to_the_end()
                return night.check_at_end(right)

            again += await asyncio.to_thread(one_run)
            kills += night.kills
            runs += 1
    counted = f"{kills.total()} kills {dict(kills)}, {runs} runs of {FILES} files ended, 0 lost, 0 damaged, "
    counted += f"0 twice in the archive, {again} mails again in the window of SMTP (same Message-ID)"
    record_property("torture", f"kill -9 of transfers, {source} to {target}, seed {number}: {counted}")
