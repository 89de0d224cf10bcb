from __future__ import annotations

from pathlib import Path
from typing import List

from aetherflow.core.api import (
    ConnectorBase,
    ConnectorError,
    ConnectorInit,
    RemoteFileMeta,
    register_connector,
)


@register_connector(kind="dropbox", driver="folder")
class DropboxFolder(ConnectorBase):
    """A folder that plays a remote drop box."""

    def __init__(self, init: ConnectorInit):
        super().__init__(init)
        self.base_dir = Path(self.config["base_dir"]).resolve()
        if self.config.get("token") != "open sesame":
            raise ConnectorError(f"drop box {self.name}: wrong token {self.config.get('token')!r}")
        self._note(f"opened for {self.ctx.flow_id if self.ctx else 'nobody'}")

    def _note(self, text: str) -> None:
        with open(self.base_dir / "connector.log", "a", encoding="utf-8") as f:
            f.write(text + "\n")

    def list(self, remote_dir: str) -> List[RemoteFileMeta]:
        root = self.base_dir / remote_dir
        return [
            RemoteFileMeta(
                path=f"{remote_dir}/{p.name}", name=p.name, size=p.stat().st_size, mtime=p.stat().st_mtime
            )
            for p in sorted(root.iterdir())
            if p.is_file()
        ]

    def read_bytes(self, remote_path: str) -> bytes:
        try:
            return (self.base_dir / remote_path).read_bytes()
        except FileNotFoundError as e:
            raise ConnectorError(f"not in the drop box: {remote_path}") from e

    def close(self) -> None:
        self._note("closed")
