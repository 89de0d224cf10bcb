"""AF6xx: the state database, runs and locks."""

from __future__ import annotations

from aetherflow.codes.entry import Entry

ENTRIES = {
    "AF600": Entry(
        "The state database cannot be read or written; nothing may go on that depends on it.",
        "the disk became full during a run",
        "Make room, or repair the permissions, and run again with the same run id.",
    ),
    "AF601": Entry(
        "The state database cannot be opened; no run was started.",
        "flow.state.path in a folder that may not be written",
        "Correct the path or its permissions, or restore the file from a backup.",
    ),
    "AF602": Entry(
        "The state path is a SQLite database of another program.",
        "state: {path: firefox/places.sqlite}",
        "Give flow.state.path a file of its own.",
    ),
    "AF603": Entry(
        "The state database was written by a newer AetherFlow.",
        "a database of schema version 9",
        "Use the newer version, or another state file.",
    ),
    "AF604": Entry(
        "A stored event of a run cannot be read, or is missing.",
        "a database that was edited by hand",
        "Restore it from a backup, or give another --run-id.",
    ),
    "AF605": Entry(
        "There is no state database at the place that was named.",
        "aetherflow runs list in a fresh installation",
        "Name it by --state FILE, or by --flow-yaml FLOW if the flow has its own.",
    ),
    "AF606": Entry(
        "The state database would be on a network file system, where SQLite cannot be trusted.",
        "AETHERFLOW_STATE_ROOT=/mnt/nfs/state",
        "Give it a place on a local disk.",
    ),
    "AF607": Entry(
        "A large output of a run, stored as a file of its own, is missing or damaged.",
        "a file of STATE.logs/RUN/outputs that was deleted",
        "Restore the file, or run again what yielded it: --from (--rerun) with the job or step that is told.",
    ),
    "AF608": Entry(
        "A large output of a run could not be stored.",
        "the disk is full",
        "Make room, or check the permissions of the folder, and run again with the same run id.",
    ),
    "AF609": Entry(
        "The stored history of a run contradicts itself.",
        "a database that was merged from two",
        "Restore it from a backup, or give another --run-id.",
    ),
    "AF610": Entry(
        "A run id is in use by another process.",
        "aetherflow run flow.yaml --run-id first, twice at once",
        "Wait for the other process; the message names it. Exit code 75 means: try again later.",
    ),
    "AF611": Entry(
        "Another process has taken the run over; this one stops and writes nothing more.",
        "a laptop that slept longer than the lease",
        "Look at the run: aetherflow runs show RUN.",
    ),
    "AF612": Entry(
        "A state database that cannot be written cannot be looked at as it is.",
        "runs list as somebody who may only read, while an old version has left its log there",
        "Look at it once as somebody who may write there, or at a copy of the file and its -wal.",
    ),
    "AF613": Entry(
        "The database does not take the events of a run; other runs on it go on.",
        "a state database that was changed by another program",
        "Check it (sqlite3 FILE 'PRAGMA integrity_check'), then run again with the same run id.",
    ),
    "AF620": Entry(
        "A lock is held by another.",
        "two flows with with_lock and the same lock_key",
        "Wait for it, give wait_seconds, or look at it: aetherflow locks list.",
    ),
    "AF621": Entry(
        "A lock was lost while a step worked under it, and the step was ended.",
        "aetherflow locks release KEY --force",
        "Check what the step had done by then; give a longer ttl_seconds if the machine was paused.",
    ),
    "AF622": Entry(
        "The key of a lock holds a secret; keys are stored and shown.",
        'lock_key: "{{env.API_TOKEN}}"',
        "Name the lock by something that may be seen.",
    ),
    "AF630": Entry(
        "A kept step, or the gate or the items of a kept job, is defined otherwise now than when it ran.",
        "the sql of a step was edited, then the run resumed",
        "Nothing, if its result still counts; else --rerun JOB.STEP.",
    ),
    "AF631": Entry(
        "A parameter given anew has no effect: a run goes on with what it began with.",
        "--run-id first --param day=2026-02-02",
        "Begin a new run to use the new value.",
    ),
    "AF632": Entry(
        "A kept step came from another version of its plugin.",
        "a plugin was upgraded between two runs of one run id",
        "Nothing, if its result still counts; else --rerun JOB.STEP.",
    ),
    "AF633": Entry(
        "An interrupted step does not run again, as its on_interrupt says.",
        "on_interrupt: skip",
        "Name it in --rerun if it shall run again.",
    ),
    "AF634": Entry(
        "Jobs that have not succeeded were left out of this run.",
        "aetherflow runs retry --only load",
        "They run at the next resume: aetherflow runs retry.",
    ),
    "AF635": Entry(
        "A step that was added to a job that had ended does not run by itself.",
        "a step was added to a job that is SUCCESS, then the run resumed",
        "Name it in --rerun (or --from); it runs, and what follows it runs again.",
    ),
    "AF636": Entry(
        "A run that goes on has had jobs or steps that the flow has no more.",
        "a job was taken out of the flow, then the run resumed",
        "Nothing: what had not succeeded is no part of the run any more; its events stay.",
    ),
    "AF640": Entry(
        "A step needs a pool that the state database does not have.",
        "pool: warehose",
        "Make it: aetherflow pools set NAME SLOTS, or name it under pools in the scheduler file.",
    ),
    "AF641": Entry(
        "A step wants more slots of a pool than there are.",
        "slots: 3 of a pool of 2",
        "Lower slots, or enlarge the pool by aetherflow pools set NAME SLOTS.",
    ),
    "AF642": Entry(
        "A step lost the slots of its pool while it worked, and was ended.",
        "a process that was paused for longer than 30 s",
        "Check what the step had done by then, then go on with the run.",
    ),
    "AF643": Entry(
        "A pool that is in use cannot be removed.",
        "aetherflow pools remove warehouse while a step holds a slot",
        "Wait for what aetherflow pools list shows.",
    ),
    "AF644": Entry(
        "A step says how many slots it wants, but not of which pool.",
        "{id: copy, type: db_extract, slots: 2}",
        "Add pool: NAME, or leave slots out.",
    ),
    "AF650": Entry(
        "A server takes no further run: its queue is full.",
        "more runs started at once than the queue holds",
        "Try again when some have ended.",
    ),
    "AF651": Entry(
        "A run is queued or executed already by this server.",
        "the same run id started twice",
        "Wait for it, or give the new run an id of its own.",
    ),
    "AF652": Entry(
        "A server is shutting down; no run begins any more.",
        "a run started while the server ends",
        "Start it again when the server is back.",
    ),
    "AF653": Entry(
        "A run was withdrawn before it had begun.",
        "aetherflow runs cancel RUN while it waits in the queue",
        "Start it again if it shall run.",
    ),
    "AF654": Entry(
        "A run ended by an error of AetherFlow or of a plugin that nobody foresaw.",
        "a connector that calls sys.exit",
        "The server's log holds the traceback; report it.",
    ),
    "AF655": Entry(
        "A run that a server left behind needs no recovery: somebody else has ended it meanwhile.",
        "two servers that start at once on one database",
        "Nothing is to be done; aetherflow runs show RUN tells how it ended.",
    ),
    "AF657": Entry(
        "A run stays INTERRUPTED after a crash of its server, because its flow says so.",
        "flow: {on_crash: leave}",
        "Look what it did; aetherflow runs retry RUN goes on with it.",
    ),
    "AF658": Entry(
        "A run was ended because its server died while it executed it.",
        "flow: {on_crash: fail}, or a run whose server died again and again",
        "Look what was done; aetherflow runs retry RUN goes on with it.",
    ),
    "AF659": Entry(
        "A server exited (code 70) without a run that did not end, neither by its cancellation nor by force.",
        "an async step that catches its cancellation and continues, when the server stops",
        "Start the server again: it resumes the run as on_crash says. Let the step pass on its cancellation.",
    ),
}
