"""AF2xx: scheduler files, firings and servers."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF200": Entry(
        "An item does not say when it fires, or says it twice.",
        "- {id: nightly, cron: '0 2 * * *', interval_seconds: 60}",
        "Keep one of cron, interval_seconds and at; an item that only follows others has after alone.",
    ),
    "AF201": Entry(
        "A calendar or a date does not exist.",
        "calendar: bankig",
        "Name one of the file's calendars; write dates that exist, as 2026-12-31.",
    ),
    "AF202": Entry(
        "An item does not say what it runs.",
        "- {id: nightly, cron: '@daily'}",
        "Add flow_yaml, or bundle_manifest for the entry flow of a bundle.",
    ),
    "AF203": Entry(
        "A file that an item names is not there.",
        "flow_yaml: flows/nigthly.yaml",
        "Correct the path: it is relative to the scheduler file, else to the working directory.",
    ),
    "AF204": Entry(
        "An item follows one that the file does not have.",
        "after: [laod]",
        "Name an item of the same file.",
    ),
    "AF205": Entry(
        "Items follow each other in a circle, so that none of them would ever start.",
        "a: after: [b]; b: after: [a]",
        "Remove one of them from after.",
    ),
    "AF206": Entry(
        "Scheduler files that are served together contradict each other.",
        "one says max_parallel_runs: 4, the other 8",
        "Say it in one of them, give each an id of its own, or serve them apart.",
    ),
    "AF207": Entry(
        "The flow of an item is not valid.",
        "flow_yaml: broken.yaml",
        "Correct the flow; aetherflow validate FLOW says what is wrong with it.",
    ),
    "AF208": Entry(
        "The flow of an item has no such job, or its parameters do not fit.",
        "flow_job: extrakt",
        "Correct flow_job or params of the item.",
    ),
    "AF209": Entry(
        "An item cannot be fired by hand: it is not known, or no server would take it up.",
        "aetherflow scheduler fire nightly",
        "Start a server, or add --file SCHEDULER.yaml --here to run it in the command itself.",
    ),
    "AF210": Entry(
        "Another server has taken a firing over, so this one does not begin its run.",
        "a server was paused for longer than its lease",
        "Nothing: the run is looked after elsewhere, under the same run id.",
    ),
    "AF211": Entry(
        "Something went wrong in a server that goes on serving.",
        "the log names the item or the run",
        "Look at the message; aetherflow scheduler status shows what each item does.",
    ),
    "AF212": Entry(
        "The state database of a server was deleted, moved or replaced; the server has stopped.",
        "rm state/aetherflow.sqlite while aetherflow serve runs",
        "Put the file back if you have it, and start the server again; stop servers before you touch it.",
    ),
    "AF213": Entry(
        "An item can never fire, or never start, as its file has it (a warning).",
        "- {id: report, after: [load]} where load has enabled: false",
        "Correct its times, its calendar or what it follows, or disable it.",
    ),
    "AF214": Entry(
        "Jitter may delay a tick of an item up to its next one, and coalesce makes one of both (a warning).",
        "cron: '*/5 * * * * *', jitter_seconds: 12",
        "Make jitter_seconds less than the time between two ticks.",
    ),
}
