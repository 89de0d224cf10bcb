"""AF8xx: what is around a run: observers, bundles."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF810": Entry(
        "An observer, or the command itself, cannot write its output any more.",
        "aetherflow run flow.yaml --events /full/disk.jsonl",
        "Make room, or write elsewhere; the run itself goes on without that observer.",
    ),
    "AF850": Entry(
        "The source of a bundle lacks a key that its type needs, or has one that belongs to another type.",
        "source: {type: filesystem, list_sql: select 1}",
        "Add or remove the key that the message names.",
    ),
    "AF851": Entry(
        "A path of the manifest leaves the bundle.",
        "layout: {flows_dir: ../flows}",
        "Write it relative to the root of the bundle.",
    ),
    "AF852": Entry(
        "The source of a bundle uses a resource that the manifest does not declare.",
        "source: {type: sftp, resource: serverr, base_path: /flows}",
        "Declare it under `resources` of the manifest, or correct the name.",
    ),
    "AF853": Entry(
        "The source of a bundle has a file with an unsafe name, or one that means the same file as another.",
        "flows/a.yaml and flows/A.yaml",
        "Rename it in the source.",
    ),
    "AF854": Entry(
        "The source of a bundle has more, or larger, files than a bundle may have.",
        "base_path: /var/data",
        "Let a bundle hold flows and what belongs to them; keep data elsewhere.",
    ),
    "AF855": Entry(
        "The source of a bundle has a symbolic link, or something that is neither a file nor a folder.",
        "flows/latest.yaml -> ../old/latest.yaml",
        "Put a copy of the file there, or remove it from the source.",
    ),
    "AF856": Entry(
        "The source of a bundle cannot be opened, listed or read.",
        "source: {type: filesystem, base_path: /mnt/share}",
        "Mount it, correct its path, or give the right to read it.",
    ),
    "AF857": Entry(
        "Files of the source changed again and again while they were read.",
        "a deployment that writes into base_path for minutes",
        "Sync when nobody writes there.",
    ),
    "AF858": Entry(
        "What the source sent of a file does not have the sha256 that the source says.",
        "a list_sql whose sha256 column is out of date",
        "Put the file into the source again, or correct its fingerprint there.",
    ),
    "AF859": Entry(
        "The folder of a bundle on this machine cannot be written, or is not as a sync makes it.",
        "AETHERFLOW_WORK_ROOT on a full disk",
        "Make room, give the right to write, or remove what is not of AetherFlow, and sync again.",
    ),
    "AF860": Entry(
        "A bundle cannot be brought here; its source says why.",
        "a source of a plugin whose server refuses",
        "Do what the message says; --allow-stale-bundle uses what is here.",
    ),
    "AF861": Entry(
        "No installed package implements bundle sources of this type.",
        "source: {type: smb, ...}",
        "Install a plugin that registers it under the entry points aetherflow.bundle_sources.",
    ),
    "AF862": Entry(
        "Another process was syncing the bundle for as long as this one was ready to wait.",
        "two aetherflow bundle sync of a large bundle",
        "Try again when it is done; the message says who it is.",
    ),
    "AF863": Entry(
        "The work root is on a file system without symbolic links, which the switch of a bundle needs.",
        "AETHERFLOW_WORK_ROOT=/mnt/usb-stick",
        "Give AETHERFLOW_WORK_ROOT a place on another file system.",
    ),
    "AF864": Entry(
        "The source has no files, or lacks the entry flow or profiles file that the manifest names.",
        "base_path: /mnt/share, which is not mounted",
        "Mount it, put the file there, or correct the manifest; what was active stays so.",
    ),
    "AF865": Entry(
        "The bundle has no such flow, or no entry flow.",
        "aetherflow run nightly.yml --bundle-manifest bundle.yaml",
        "Name one of the flows that the message lists, or set bundle.entry_flow.",
    ),
    "AF866": Entry(
        "The bundle could not be synced, and what is here is used because --allow-stale-bundle allows it.",
        "aetherflow run --bundle-manifest bundle.yaml --allow-stale-bundle",
        "Nothing, if that was meant; else mend the source.",
    ),
    "AF867": Entry(
        "A run goes on with another bundle, or another state of it, than it had before.",
        "aetherflow runs retry RUN, after a sync",
        "Look whether what changed matters to the steps that are kept; --rerun runs them again.",
    ),
    "AF870": Entry(
        "A step, in enterprise mode, names a path outside of what is allowed.",
        "inputs: {output: /etc/cron.d/job}",
        "Use a relative path, or list the place in the manifest: paths: {allow: [...]}.",
    ),
    "AF871": Entry(
        "Enterprise mode is on, and the flow puts its workspace or its state where it may not.",
        "workspace: {root: /etc}",
        "Leave it out, choose a place under AETHERFLOW_WORK_ROOT, or list it in the manifest.",
    ),
    "AF872": Entry(
        "Enterprise mode is on, and the manifest does not list this archive driver.",
        "resources: {packer: {kind: archive, driver: external}}",
        "List it under zip_drivers of the manifest, or use one that is listed.",
    ),
    "AF873": Entry(
        "Enterprise mode is on, and an env file of the bundle sets a setting, HOME or XDG_STATE_HOME.",
        "AETHERFLOW_MODE=internal_fast in a bundle's env file",
        "Set it in the environment of the process.",
    ),
}
