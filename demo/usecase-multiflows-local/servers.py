"""Start the servers of this demo on loopback, run a command with them, and show what arrived.

    python servers.py COMMAND [ARG ...]

DEMO_DIR is where all of it is. The servers: SFTP (asyncssh), mail (aiosmtpd) and, where Samba is installed
and the user is root, its smbd; without Samba a folder is used in place of the share. Keys and passwords are
made for this one time.
"""

from __future__ import annotations

import asyncio
import csv
import fcntl
import io
import logging
import os
import secrets
import shutil
import signal
import socket
import sqlite3
import sys
import zipfile
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, closing, suppress
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path

import asyncssh
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword
from python_calamine import load_workbook

ORDERS = {
    "orders-north.zip": [("1001", "north", "kettle", 2, "24.90"), ("1002", "north", "toaster", 1, "31.00")],
    "orders-süd.zip": [("2001", "south", "kettle", 5, "22.50"), ("2002", "east", "lamp", 3, "18.20")],
}
"""What the shops send each day: one archive each, with a CSV file in it."""

SALES = [("north", 120, 24.9), ("south", 80, 22.5), ("south", 10, 31.0), ("east", 45, 18.2)]
RETURNS = [("north", "broken"), ("north", "broken"), ("south", "too late"), ("east", "wrong colour")]

SAMBA = """\
[global]
  server role = standalone server
  bind interfaces only = yes
  interfaces = 127.0.0.1/8
  smb ports = {port}
  disable netbios = yes
  lock directory = {folder}
  state directory = {folder}
  cache directory = {folder}
  pid directory = {folder}
  private dir = {folder}
  ncalrpc dir = {folder}/ncalrpc
  log file = {folder}/log
  passdb backend = tdbsam:{folder}/passdb.tdb
  username map = {folder}/users.map
  load printers = no
  printcap name = /dev/null
  disable spoolss = yes
  server min protocol = SMB2
  rpc start on demand helpers = no
[REPORTS]
  path = {share}/REPORTS
  read only = no
"""
START_SECONDS = 10


def say(text: str) -> None:
    """Print a line at once."""
    print(text, flush=True)  # noqa: T201 - the demo is what it prints


def make_data(place: Path) -> None:
    """Put new orders on the SFTP server, empty mailbox and share, and fill the database of the shop."""
    for name in ("sftp", "share", "mails"):  # what is shown in the end arrived in this run
        shutil.rmtree(place / name, ignore_errors=True)
    for name in ("sftp/outgoing", "sftp/done", "share/REPORTS", "keys", "mails"):
        (place / name).mkdir(parents=True, exist_ok=True)
    (place / "keys").chmod(0o700)
    for name, orders in ORDERS.items():
        text = io.StringIO()
        lines = csv.writer(text)
        lines.writerow(["order_id", "region", "product", "quantity", "unit_price"])
        lines.writerows(orders)
        with zipfile.ZipFile(place / "sftp" / "outgoing" / name, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("orders.csv", text.getvalue())
    with closing(sqlite3.connect(place / "shop.sqlite", isolation_level=None)) as shop:
        shop.executescript(
            "drop table if exists sales; create table sales (region, quantity, unit_price);"
            "drop table if exists returns; create table returns (region, reason);"
        )
        shop.executemany("insert into sales values (?, ?, ?)", SALES)
        shop.executemany("insert into returns values (?, ?)", RETURNS)


@asynccontextmanager
async def sftp_server(place: Path) -> AsyncIterator[dict[str, str]]:
    """Serve the folder `sftp`, with a new host key and a new key for the user `demo`."""
    host, user = (asyncssh.generate_private_key("ssh-ed25519") for _ in range(2))
    private = place / "keys" / "id_ed25519"
    private.unlink(missing_ok=True)
    private.touch(0o600)
    user.write_private_key(str(private))
    allowed = asyncssh.import_authorized_keys(user.export_public_key().decode())
    root = str(place / "sftp")
    server = await asyncssh.create_server(
        asyncssh.SSHServer,
        "127.0.0.1",
        0,
        server_host_keys=[host],
        authorized_client_keys=allowed,
        sftp_factory=lambda channel: asyncssh.SFTPServer(channel, chroot=root.encode()),
    )
    port = server.get_port()
    known = f"[127.0.0.1]:{port} {host.export_public_key().decode()}"
    (place / "keys" / "known_hosts").write_text(known)
    say(f"   SFTP    127.0.0.1:{port}, the folder {place / 'sftp'}")
    try:
        yield {"DEMO_SFTP_PORT": str(port)}
    finally:
        server.close()


class Mailbox:
    """Takes every mail, and writes it to a file."""

    def __init__(self, folder: Path) -> None:
        """Take the folder for the mails."""
        self._folder = folder
        self._count = 0

    async def handle_DATA(self, _server: object, _session: object, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd calls it
        """Take one mail."""
        self._count += 1
        content = envelope.content
        (self._folder / f"{self._count}.eml").write_bytes(content if isinstance(content, bytes) else b"")
        return "250 OK"


@asynccontextmanager
async def mail_server(place: Path) -> AsyncIterator[dict[str, str]]:
    """Take mails on a free port."""
    mailbox = Mailbox(place / "mails")
    loop = asyncio.get_running_loop()
    password = secrets.token_urlsafe(12)

    def log_in(*request: object) -> AuthResult:
        return AuthResult(success=request[-1] == LoginPassword(b"demo", password.encode()))

    def serve() -> SMTP:
        return SMTP(mailbox, hostname="localhost", authenticator=log_in, auth_require_tls=False)

    server = await loop.create_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    say(f"   mail    127.0.0.1:{port}, the folder {place / 'mails'}")
    try:
        yield {"DEMO_SMTP_PORT": str(port), "DEMO_SMTP_PASSWORD": password}
    finally:
        server.close()


@asynccontextmanager
async def share(place: Path) -> AsyncIterator[dict[str, str]]:
    """Serve the folder `share` by Samba, or say why a folder is used instead."""
    found = shutil.which("smbd", path=_path())
    why = "" if found else "smbd is not installed"
    if found and os.geteuid() != 0:
        why = "smbd can be started by root only"
    if os.environ.get("DEMO_SHARE") == "share_folder":
        why = "DEMO_SHARE is share_folder"
    instead = f"no server: the folder {place / 'share'} is used instead (driver smb:folder)"
    if why:
        say(f"   share   {why}, so {instead}")
        yield {"DEMO_SHARE": "share_folder"}
        return
    folder = place / "samba"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(0o700)
    port, password = _free_port(), secrets.token_urlsafe(12)
    process = await _start_samba(folder, place / "share", port, password)
    try:
        if await _listens(port):
            say(f"   share   127.0.0.1:{port} (Samba), the folder {place / 'share' / 'REPORTS'}")
            yield {"DEMO_SHARE": "share_server", "DEMO_SMB_PORT": str(port), "DEMO_SMB_PASSWORD": password}
        else:
            say(f"   share   smbd does not start (see {folder}/log), so {instead}")
            yield {"DEMO_SHARE": "share_folder"}
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        await process.wait()


async def _start_samba(folder: Path, shares: Path, port: int, password: str) -> asyncio.subprocess.Process:
    (folder / "users.map").write_text("root = demo\n")
    (folder / "smb.conf").write_text(SAMBA.format(folder=folder, share=shares, port=port))
    environment = {**os.environ, "PATH": _path()}
    quiet = asyncio.subprocess.DEVNULL
    account = await asyncio.create_subprocess_exec(
        *("smbpasswd", "-c", f"{folder}/smb.conf", "-L", "-s", "-a", "root"),
        stdin=asyncio.subprocess.PIPE,
        stdout=quiet,
        stderr=quiet,
        env=environment,
    )
    await account.communicate(f"{password}\n{password}\n".encode())
    return await asyncio.create_subprocess_exec(
        *("smbd", "--foreground", "--no-process-group", "-s", f"{folder}/smb.conf"),
        stdin=quiet,
        stdout=quiet,
        stderr=quiet,
        env=environment,
        start_new_session=True,
    )


async def _listens(port: int) -> bool:
    for _ in range(START_SECONDS * 10):
        with suppress(OSError):
            _, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.close()
            return True
        await asyncio.sleep(0.1)
    return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _path() -> str:
    return f"{os.environ['PATH']}:/usr/sbin:/sbin"


def show(place: Path) -> None:
    """Print the mails as text, the files on the share, and what the SFTP server has now."""
    say("== The mails that arrived")
    mails = sorted((place / "mails").glob("*.eml"), key=lambda file: int(file.stem))
    for file in mails:
        show_mail(file)
    if not mails:
        say("   none")
    show_files("The files on the share", place / "share")
    show_files("The files on the SFTP server", place / "sftp", opens_archives=False)


def show_files(title: str, folder: Path, *, opens_archives: bool = True) -> None:
    """Print the files of a folder with their sizes, and what is in the archives."""
    say(f"== {title}, below {folder}")
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    if not files:
        say("   none")
    for path in files:
        say(f"   {path.relative_to(folder)}  {path.stat().st_size} bytes")
        if opens_archives and path.suffix == ".zip":
            with zipfile.ZipFile(path) as archive:
                for one in archive.infolist():
                    say(f"      {one.filename}  {one.file_size} bytes")


def show_mail(file: Path) -> None:
    """Print a mail as its reader sees it."""
    mail = message_from_bytes(file.read_bytes(), policy=default)
    assert isinstance(mail, EmailMessage)  # noqa: S101 - the policy says so
    for name in ("From", "To", "Cc", "Subject"):
        if mail[name]:
            say(f"   {name}: {mail[name]}")
    body = mail.get_body(("plain",))
    text = body.get_content() if body else ""
    for line in ["", *text.rstrip().splitlines()]:
        say(f"   | {line}".rstrip())
    for part in mail.iter_attachments():
        content = part.get_content()
        say(f"   | attached: {part.get_filename()}")
        for line in lines_of(str(part.get_filename()), content):
            say(f"   |    {line}")
    say("")


def lines_of(name: str, content: str | bytes) -> list[str]:
    """Return an attachment as lines; of a workbook the values that were written into it."""
    if isinstance(content, str):
        return content.splitlines()
    if not name.endswith(".xlsx"):
        return content.decode().splitlines()
    rows = load_workbook(io.BytesIO(content)).get_sheet_by_index(0).to_python()
    return [
        " | ".join(f"{value}".removesuffix(".0") for value in row if value != "") for row in rows if any(row)
    ]


def hold(place: Path) -> int | None:
    """Lock the folder of the demo until this process ends; return None if another has it."""
    place.mkdir(parents=True, exist_ok=True)
    lock = os.open(place / "servers.lock", os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return None
    return lock


async def main(command: list[str]) -> int:
    """Run a command while the servers are up; return its exit code."""
    place = Path(os.environ["DEMO_DIR"])
    lock = hold(place)
    if lock is None:
        say(f"The demo runs already with the folder {place}.")
        say("Wait for it, or name another folder: DEMO_DIR=...")
        return 75
    make_data(place)
    loop, this = asyncio.get_running_loop(), asyncio.current_task()
    assert this is not None  # noqa: S101 - this is a task
    loop.add_signal_handler(signal.SIGTERM, this.cancel)
    logging.getLogger("mail.log").setLevel(logging.ERROR)  # aiosmtpd warns of itself
    say("== Starting the servers, each on this machine and on a free port")
    async with AsyncExitStack() as servers:
        environment = dict(os.environ)
        for start in (sftp_server, mail_server, share):
            environment |= await servers.enter_async_context(start(place))
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        # Ctrl-C reaches the command by itself; the servers end after it.
        loop.add_signal_handler(signal.SIGINT, lambda: None)
        loop.add_signal_handler(signal.SIGTERM, process.terminate)
        code = await process.wait()
    show(place)
    return code if code >= 0 else 128 - code  # ended by a signal, as a shell says it


if __name__ == "__main__":
    with suppress(KeyboardInterrupt, asyncio.CancelledError):
        sys.exit(asyncio.run(main(sys.argv[1:])))
