"""A run of steps that send through the mail server of the tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from aetherflow_mail.mail_send import mail_send
from aetherflow_mail.smtp_connector import SmtpConnector

from aetherflow import Resource
from aetherflow.testing import FakeRun, run_step
from tests.servers.smtp_server import MailServer

SENDER = "Operations <ops@example.org>"


async def open_mail(
    server: MailServer, config: dict[str, Any] | None = None, **options: Any
) -> SmtpConnector:
    """Return the connector of a resource for the server, with STARTTLS; a few keys may be others."""
    given = {
        "host": "127.0.0.1",
        "port": server.port,
        "starttls": True,
        "ca": str(server.ca_file),
        "from_addr": SENDER,
        **(config or {}),
    }
    present = {key: value for key, value in given.items() if value is not None}
    return await SmtpConnector.open(Resource("post", "mail", "smtp", present, {"timeout": 5, **options}))


class MailRun(FakeRun):
    """A run with the resource `post`."""

    def __init__(self, folder: Path, connector: SmtpConnector, **more: Any) -> None:
        super().__init__(folder, connectors={"post": connector}, **more)

    @property
    def artifacts(self) -> Path:
        return self.context().artifacts

    async def send(self, **inputs: Any) -> dict[str, Any]:
        """Run `mail_send`, once for each call, as attempts of one step; return its outputs."""
        given = {
            "resource": "post",
            "to": "ann@example.org",
            "subject": "Report",
            "body": "42 rows",
            **inputs,
        }
        result = await run_step(mail_send, {k: v for k, v in given.items() if v is not ...}, self)
        outputs: dict[str, Any] = result.outputs
        return outputs
