"""The one table of what ships in the wheel: steps, connectors, bundle sources, observers, executors.

A test compares pyproject.toml with it: entry points, packages, extras, mypy_path, import contracts. To ship
another plugin, add its package and its lines here, and that test names what is missing there. May import
nothing of aetherflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

Kind = Literal["step type", "connector", "bundle source", "observer", "executor"]


class Shipped(NamedTuple):
    """One line of the table.

    Attributes:
        name: how flows and manifests name it.
        target: `module:attribute`.
    """

    kind: Kind
    name: str
    target: str


SHIPPED = (
    Shipped("step type", "check_items", "aetherflow.steps.check_items:check_items"),
    Shipped("step type", "list_files", "aetherflow.steps.list_files:list_files"),
    Shipped("step type", "with_lock", "aetherflow.steps.with_lock:with_lock"),
    Shipped("step type", "external.process", "aetherflow.steps.external_process:external_process"),
    Shipped("step type", "sftp_list_files", "aetherflow.transfer.shipped_steps:sftp_list_files"),
    Shipped("step type", "sftp_download_files", "aetherflow.transfer.shipped_steps:sftp_download_files"),
    Shipped("step type", "sftp_upload_files", "aetherflow.transfer.shipped_steps:sftp_upload_files"),
    Shipped("step type", "sftp_delete_files", "aetherflow.transfer.shipped_steps:sftp_delete_files"),
    Shipped("step type", "smb_list_files", "aetherflow.transfer.shipped_steps:smb_list_files"),
    Shipped("step type", "smb_download_files", "aetherflow.transfer.shipped_steps:smb_download_files"),
    Shipped("step type", "smb_upload_files", "aetherflow.transfer.shipped_steps:smb_upload_files"),
    Shipped("step type", "smb_delete_files", "aetherflow.transfer.shipped_steps:smb_delete_files"),
    Shipped("step type", "file_list_files", "aetherflow.transfer.shipped_steps:file_list_files"),
    Shipped("step type", "file_download_files", "aetherflow.transfer.shipped_steps:file_download_files"),
    Shipped("step type", "file_upload_files", "aetherflow.transfer.shipped_steps:file_upload_files"),
    Shipped("step type", "file_delete_files", "aetherflow.transfer.shipped_steps:file_delete_files"),
    Shipped("step type", "ssh.process", "aetherflow.steps.ssh_process:ssh_process"),
    Shipped("step type", "db_extract", "aetherflow_db.extract:db_extract"),
    Shipped("step type", "db_extract_stream", "aetherflow_db.extract_stream:db_extract_stream"),
    Shipped("step type", "db_fetch_small", "aetherflow_db.fetch_small:db_fetch_small"),
    Shipped("step type", "excel_fill_from_file", "aetherflow_excel.fill_from_file:excel_fill_from_file"),
    Shipped("step type", "excel_fill_small", "aetherflow_excel.fill_small:excel_fill_small"),
    Shipped("step type", "excel_read", "aetherflow_excel.read_step:excel_read"),
    Shipped(
        "step type", "excel_validate_template", "aetherflow_excel.validate_template:excel_validate_template"
    ),
    Shipped("step type", "db_execute", "aetherflow_db.execute:db_execute"),
    Shipped("step type", "db_load", "aetherflow_db.load:db_load"),
    Shipped("step type", "db_check", "aetherflow_db.check:db_check"),
    Shipped("step type", "mail_send", "aetherflow_mail.mail_send:mail_send"),
    Shipped("step type", "gpg", "aetherflow_archive.gpg_step:gpg"),
    Shipped("step type", "zip", "aetherflow_archive.zip_step:zip_files"),
    Shipped("step type", "unzip", "aetherflow_archive.unzip_step:unzip"),
    Shipped("connector", "archive:external", "aetherflow_archive.external_connector:ExternalConnector"),
    Shipped("connector", "archive:os", "aetherflow_archive.os_connector:OsConnector"),
    Shipped("connector", "archive:pyminizip", "aetherflow_archive.pyminizip_connector:PyminizipConnector"),
    Shipped("connector", "archive:tarfile", "aetherflow_archive.tar_connector:TarConnector"),
    Shipped("connector", "archive:zipfile", "aetherflow_archive.zip_connectors:ZipfileConnector"),
    Shipped("connector", "archive:pyzipper", "aetherflow_archive.zip_connectors:PyzipperConnector"),
    Shipped("connector", "db:duckdb", "aetherflow_db.duckdb_connector:DuckDbConnector"),
    Shipped("connector", "db:exasol", "aetherflow_db.exasol_connector:ExasolConnector"),
    Shipped("connector", "db:mssql", "aetherflow_db.server_connectors:MssqlConnector"),
    Shipped("connector", "db:mysql", "aetherflow_db.server_connectors:MysqlConnector"),
    Shipped("connector", "db:oracledb", "aetherflow_db.oracle_connector:OracleConnector"),
    Shipped("connector", "db:postgres", "aetherflow_db.server_connectors:PostgresConnector"),
    Shipped("connector", "db:sqlalchemy", "aetherflow_db.sqlalchemy_connector:SqlAlchemyConnector"),
    Shipped("connector", "db:sqlite3", "aetherflow_db.sqlite3_connector:Sqlite3Connector"),
    Shipped("connector", "file:local", "aetherflow.transfer.local_files:LocalFiles"),
    Shipped("connector", "mail:smtp", "aetherflow_mail.smtp_connector:SmtpConnector"),
    Shipped("connector", "smb:folder", "aetherflow_smb.folder_connector:SmbFolderConnector"),
    Shipped("connector", "smb:pysmb", "aetherflow_smb.smbclient_connector:PysmbConnector"),
    Shipped("connector", "smb:smbclient", "aetherflow_smb.smbclient_connector:SmbClientConnector"),
    Shipped("connector", "sftp:asyncssh", "aetherflow_sftp.sftp_connector:SftpFiles"),
    Shipped("connector", "sftp:paramiko", "aetherflow_sftp.sftp_connector:SftpFilesAsParamiko"),
    Shipped("step type", "rest_request", "aetherflow_rest.rest_request:rest_request"),
    Shipped("connector", "rest:httpx", "aetherflow_rest.httpx_connector:RestConnector"),
    Shipped("bundle source", "filesystem", "aetherflow.bundle.filesystem_source:FilesystemSource"),
    Shipped("bundle source", "sftp", "aetherflow.transfer.bundle_source:RemoteFolderSource"),
    Shipped("bundle source", "smb", "aetherflow.transfer.bundle_source:RemoteFolderSource"),
    Shipped("bundle source", "db", "aetherflow_db.bundle_source:DbSource"),
    Shipped("bundle source", "rest", "aetherflow_rest.bundle_source:RestSource"),
    Shipped("observer", "openlineage", "aetherflow_openlineage.observer:OpenLineageObserver"),
    Shipped("observer", "otel", "aetherflow_otel.observer:OtelObserver"),
    Shipped("executor", "dask", "aetherflow_dask.executor:DaskExecutor"),
)

PLUGIN_EXTRAS: Mapping[str, str] = {
    "aetherflow_archive": "archive",
    "aetherflow_dask": "dask",
    "aetherflow_db": "db",
    "aetherflow_excel": "excel",
    "aetherflow_mail": "mail",
    "aetherflow_openlineage": "openlineage",
    "aetherflow_otel": "otel",
    "aetherflow_rest": "rest",
    "aetherflow_sftp": "sftp",
    "aetherflow_smb": "smb",
}
"""The packages of plugins that ship, and the extra that brings what each imports."""


def targets(kind: Kind) -> dict[str, str]:
    """Return the targets of one kind by name."""
    return {one.name: one.target for one in SHIPPED if one.kind == kind}
