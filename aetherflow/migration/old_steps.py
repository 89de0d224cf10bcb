"""What the step types of AetherFlow 0.0.14 took and returned: tables, nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

Kind = Literal["any", "bool", "int", "ints", "number", "words", "variables", "lower"]
"""How an input was read: by Python's truth, int() or float(), str() of each item, whatever its case."""

Inputs = Mapping[str, Any]
"""Kinds by key; a mapping of them where the input is a mapping."""


def _any(names: str) -> dict[str, Kind]:
    return dict.fromkeys(names.split(), "any")


PROCESS: Inputs = {
    "command": "words",
    "args": "words",
    "shell": "bool",
    "cwd": "any",
    "env": "variables",
    "inherit_env": "bool",
    "timeout_seconds": "number",
    "kill_grace_seconds": "int",
    "log": {**_any("stdout stderr file_path"), "max_capture_kb": "int"},
    "retry": {
        "max_attempts": "int",
        "backoff_seconds": "number",
        "backoff_multiplier": "number",
        "max_backoff_seconds": "number",
        "retry_on_exit_codes": "ints",
        "retry_on_timeout": "bool",
    },
    "success": {"exit_codes": "ints", **_any("require_files require_glob forbid_files marker_file")},
    "idempotency": {
        "strategy": "lower",
        **_any("marker_path temp_output_dir final_output_dir"),
        "atomic_rename": "bool",
    },
    "outputs": "any",
}
_TEXT_FILE = _any("encoding delimiter quotechar escapechar quoting linefeed") | {"doublequote": "bool"}
_LIST_FILES: Inputs = {**_any("resource remote_dir pattern"), "recursive": "bool", "min_count": "int"}

STEPS: Mapping[str, Inputs] = {
    "check_items": {"items": "any", "min_count": "int"},
    "with_lock": {**_any("lock_key step"), "ttl_seconds": "int"},
    "external.process": PROCESS,
    "db_extract": {**_any("resource sql output params"), "format": "lower"},
    "db_fetch_small": {**_any("resource sql params"), "max_rows": "int", "fetch_size": "int"},
    "db_extract_stream": {
        **_any("resource sql output params dtypes dtypes_json file"),
        **_TEXT_FILE,
        "format": "lower",
        "fetch_size": "int",
        "include_header": "bool",
        "emit_dtypes": "bool",
    },
    "sftp_list_files": _LIST_FILES,
    "smb_list_files": _LIST_FILES,
    "sftp_download_files": _any("resource files dest_dir"),
    "smb_download_files": _any("resource files dest_dir"),
    "sftp_delete_files": _any("resource files"),
    "smb_delete_files": _any("resource files"),
    "sftp_upload_files": _any("resource items remote_dir parallelism"),
    "smb_upload_files": _any("resource local_files remote_dir"),
    "mail_send": {**_any("resource to subject body text cc bcc from_addr"), "html": "bool"},
    "zip": {
        **_any("dest_path items src_dir password compression resource connector"),
        "recursive": "bool",
        "overwrite": "bool",
    },
    "unzip": {
        **_any("archives dest_dir src_dir password members resource connector"),
        "overwrite": "bool",
        "private_zip_folder": "bool",
    },
    "excel_validate_template": _any("template_path required_names sheet"),
    "excel_fill_small": _any("template_path output targets"),
    "excel_fill_from_file": {**_any("template_path output targets"), "rows_threshold": "int"},
}
"""The inputs of each step type."""

ValueKind = Literal["truth", "number", "text", "captured", "list", "unknown"]
"""What kind of value an output is; captured: the output of a program, with its last line end."""

_COUNTED: Mapping[str, ValueKind] = {"has_data": "truth", "count": "number", "reason": "text"}
_LISTED: Mapping[str, ValueKind] = {**_COUNTED, "files": "list"}
_OUTPUTS: Mapping[str, Mapping[str, ValueKind]] = {
    "check_items": _COUNTED,
    "external.process": {
        "exit_code": "number",
        "attempts": "number",
        "stdout": "captured",
        "stderr": "captured",
        "log_file": "text",
        "skipped": "truth",
        "marker": "text",
    },
    "db_extract": {"output": "text", "format": "text", "rows": "number"},
    "db_fetch_small": {"columns": "list", "rows": "list", "row_count": "number"},
    "db_extract_stream": {"row_count": "number", "artifact_path": "text", "format": "text"},
    "sftp_list_files": _LISTED,
    "smb_list_files": _LISTED,
    "sftp_download_files": {"local_files": "list", "dest_dir": "text"},
    "smb_download_files": {"local_files": "list", "dest_dir": "text"},
    "sftp_delete_files": {"is_deleted": "truth"},
    "smb_delete_files": {"is_deleted": "truth"},
    "sftp_upload_files": {"manifest": "text", "count": "number"},
    "smb_upload_files": {"uploaded": "list", "remote_dir": "text"},
    "mail_send": {"sent": "truth", "to": "list", "subject": "text", "html": "truth"},
    "zip": {"output": "text", "count": "number"},
    "excel_validate_template": {"template_ok": "truth"},
}


def output_kind(step_type: str, key: str) -> ValueKind:
    """Return what kind of value a step type gave under a key."""
    return _OUTPUTS.get(step_type, {}).get(key, "unknown")
