"""AF3xx: files that move, other hosts, mail; what needs a server is shown by the tests of its plugin."""

from __future__ import annotations

from tests.diagnostics.case import RUN, Case, Told, resource


def run(keys: str, step: str) -> Case:
    """Return the case of a step that uses a resource `r` with these keys."""
    return Case(resource(keys, f"{{id: s, {step}}}"), script=RUN)


DATABASE = "kind: db, driver: sqlite3, config: {path: a.sqlite}"
LIST = "type: {kind}_list_files, inputs: {{resource: r, remote_dir: '{folder}'}}"


def listing(kind: str, driver: str, config: str, folder: str = "in") -> Case:
    """Return the case of a listing over a connector with this config."""
    keys = f"kind: {kind}, driver: {driver}, config: {{{config}}}"
    return run(keys, LIST.format(kind=kind, folder=folder))


CASES: dict[str, Case | Told] = {
    "AF300": run(DATABASE, LIST.format(kind="file", folder="in")),
    "AF310": listing("file", "local", "path: .", "../elsewhere"),
    "AF311": listing("file", "local", "path: nowhere"),
    "AF832": Case(script="aetherflow worker tcp://127.0.0.1:8786 --executor desk"),
    "AF831": Case(
        resource(
            "kind: file, driver: local, config: {root: .}",
            "{id: s, type: file_upload_files,"
            " inputs: {resource: r, remote_dir: a, items: [o.csv], after: delete}}"
            "\n      - {id: t, type: zip, inputs: {src: o.csv, dst: o.zip}}",
        )
    ),
    "AF330": listing("sftp", "asyncssh", "host: 127.0.0.1, port: 1, user: ann, password: x"),
    "AF334": listing("sftp", "asyncssh", "host: 127.0.0.1, port: 1, user: ann, pkey_path: nowhere"),
    "AF335": listing("sftp", "asyncssh", "host: 127.0.0.1, port: 1, password: x"),
    "AF347": listing(
        "smb", "smbclient", "server: 127.0.0.1, port: 1, share: data, username: ann, password: x"
    ),
    "AF362": run(DATABASE, "type: ssh.process, inputs: {resource: r, command: [id]}"),
    "AF365": run(
        "kind: mail, driver: smtp, config: {host: 127.0.0.1, port: 1, from_addr: a@example.com}",
        "type: mail_send, inputs: {resource: r, to: b@example.com, subject: s, body: b}",
    ),
}
