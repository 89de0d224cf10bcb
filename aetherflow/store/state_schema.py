"""The tables and views of the state database: one script for each version, applied in order (forward only).

SQLite stores each CREATE statement as it is written here: those of a released version never change. People
may query `runs`, `job_state`, `step_state`, `attempts`, `events`, `locks`, `marks`, `firings` and
`schema_version`.
"""

from __future__ import annotations

APPLICATION_ID = 0x41457466
"""`AEtf` in ASCII, SQLite's mark of whose file this is (PRAGMA application_id)."""

VERSION_1 = """
CREATE TABLE schema_version (
    version     INTEGER PRIMARY KEY,
    applied_at  TEXT NOT NULL
);

-- The journal: the history of every run, in order. What it holds is the truth; run_state, job_state and
-- step_state are projections of it, written in the same transaction.
CREATE TABLE events (
    run_id  TEXT NOT NULL,
    seq     INTEGER NOT NULL,
    event   TEXT NOT NULL,
    payload TEXT NOT NULL,
    at      TEXT GENERATED ALWAYS AS (json_extract(payload, '$.at')) VIRTUAL,
    job_id  TEXT GENERATED ALWAYS AS (json_extract(payload, '$.job_id')) VIRTUAL,
    step_id TEXT GENERATED ALWAYS AS (json_extract(payload, '$.step_id')) VIRTUAL,
    PRIMARY KEY (run_id, seq)
) WITHOUT ROWID;

CREATE TABLE run_state (
    run_id      TEXT PRIMARY KEY,
    flow_id     TEXT NOT NULL,
    flow_file   TEXT NOT NULL,
    status      TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    started_at  TEXT NOT NULL,
    finished_at TEXT,
    params      TEXT NOT NULL,
    reason      TEXT NOT NULL,
    owner       TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX run_state_by_start ON run_state (started_at);

CREATE TABLE job_state (
    run_id      TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    flow_id     TEXT NOT NULL,
    status      TEXT NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    outputs     TEXT,
    error       TEXT,
    reason      TEXT,
    PRIMARY KEY (run_id, job_id)
) WITHOUT ROWID;

CREATE TABLE step_state (
    run_id      TEXT NOT NULL,
    job_id      TEXT NOT NULL,
    step_id     TEXT NOT NULL,
    flow_id     TEXT NOT NULL,
    step_type   TEXT NOT NULL,
    status      TEXT NOT NULL,
    attempt     INTEGER NOT NULL,
    started_at  TEXT,
    finished_at TEXT,
    outputs     TEXT,
    error       TEXT,
    reason      TEXT,
    PRIMARY KEY (run_id, job_id, step_id)
) WITHOUT ROWID;

-- Who may write for a run (`run:ID`) and who holds a lock (`lock:KEY`). A row stays after its release, so
-- that the generation only grows: a write that names an old generation is refused.
CREATE TABLE leases (
    name        TEXT PRIMARY KEY,
    generation  INTEGER NOT NULL,
    owner       TEXT NOT NULL,
    holder      TEXT NOT NULL,
    acquired_at TEXT NOT NULL,
    expires_at  TEXT NOT NULL,
    released_at TEXT,
    run_id        TEXT NOT NULL DEFAULT '', -- the run that a lock is held for
    cancel_reason TEXT                      -- somebody asks the holder to end its run
) WITHOUT ROWID;

CREATE VIEW locks AS
SELECT substr(name, 6) AS lock_key, holder, owner, generation, acquired_at, expires_at
FROM leases WHERE name LIKE 'lock:%' AND released_at IS NULL
AND expires_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now');

-- A run that says RUNNING while nobody holds its lease any more was INTERRUPTED.
CREATE VIEW runs AS
SELECT r.run_id, r.flow_id, r.flow_file,
       CASE WHEN r.status = 'RUNNING' AND NOT EXISTS (
           SELECT 1 FROM leases l WHERE l.name = 'run:' || r.run_id AND l.released_at IS NULL
           AND l.expires_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now')
       ) THEN 'INTERRUPTED' ELSE r.status END AS status,
       r.attempt, r.started_at, r.finished_at, r.params, r.reason, r.owner
FROM run_state r;
"""

VERSION_2 = """
-- Every attempt of every step: how it ended; if another one followed, how long that waited, and why. An
-- attempt without an end runs now, or was interrupted when its process died.
CREATE VIEW attempts AS
WITH steps AS (
    SELECT run_id, seq, event, payload, at, job_id, step_id,
           lead(event) OVER following AS ended_by,
           lead(payload) OVER following AS ending
    FROM events WHERE event IN ('step_started', 'step_retrying', 'step_finished')
    WINDOW following AS (PARTITION BY run_id, job_id, step_id ORDER BY seq)
)
SELECT run_id, json_extract(payload, '$.flow_id') AS flow_id, job_id, step_id,
       json_extract(payload, '$.step_type') AS step_type,
       coalesce(json_extract(payload, '$.attempt'), 1) AS attempt,
       CASE ended_by WHEN 'step_finished' THEN json_extract(ending, '$.status')
           WHEN 'step_retrying' THEN 'FAILED' WHEN 'step_started' THEN 'INTERRUPTED'
           ELSE (SELECT status FROM runs r WHERE r.run_id = steps.run_id) END AS status,
       at AS started_at,
       CASE WHEN ended_by <> 'step_started' THEN json_extract(ending, '$.at') END AS finished_at,
       json_extract(ending, '$.wait_seconds') AS wait_seconds,
       json_extract(ending, '$.error') AS error,
       json_extract(ending, '$.reason') AS reason,
       seq
FROM steps WHERE event = 'step_started';
"""

VERSION_3 = """
-- What schedulers decided: one row per tick of an item, and per firing that a person requested. An open row
-- is a durable claim: `server` is responsible for it until it is closed; if that dies, another takes it over.
CREATE TABLE firings (
    firing_id     INTEGER PRIMARY KEY,
    scheduler     TEXT NOT NULL,            -- the id of the scheduler file, else its path
    item_id       TEXT NOT NULL,
    scheduled_at  TEXT NOT NULL,
    cause         TEXT NOT NULL,            -- tick, catch_up, manual
    decided_at    TEXT NOT NULL,
    outcome       TEXT NOT NULL,            -- WAITING QUEUED RUNNING; SUCCESS FAILED CANCELLED SKIPPED MISSED
    run_id        TEXT UNIQUE,              -- fixed with the firing, whoever begins the run
    started_at    TEXT,
    finished_at   TEXT,                     -- null as long as the firing is open
    reason        TEXT NOT NULL DEFAULT '', -- why it waits, or did not run, or failed
    due_at        TEXT NOT NULL,            -- the scheduled time with its jitter
    ticks         INTEGER NOT NULL DEFAULT 1, -- how many ticks, up to this one, the row stands for
    priority      INTEGER NOT NULL DEFAULT 0,
    server        TEXT NOT NULL DEFAULT '', -- name of a lease; empty: any server may take it
    cancel_reason TEXT,                     -- somebody asks the server to end the run
    UNIQUE (scheduler, item_id, scheduled_at)
);
CREATE INDEX firings_open ON firings (scheduler, item_id) WHERE finished_at IS NULL;

-- A run and its firing end in one transaction, where both are in this database; a retry changes the outcome.
CREATE TRIGGER firing_ends AFTER UPDATE OF status ON run_state
WHEN NEW.status IN ('SUCCESS', 'FAILED', 'CANCELLED')
BEGIN
    UPDATE firings SET outcome = NEW.status, finished_at = NEW.finished_at, reason = NEW.reason
    WHERE run_id = NEW.run_id;
END;

-- Up to when the ticks of an item have been decided, and what the item was then.
CREATE TABLE schedule_items (
    scheduler  TEXT NOT NULL,
    item_id    TEXT NOT NULL,
    definition TEXT NOT NULL,
    decided_to TEXT NOT NULL,
    PRIMARY KEY (scheduler, item_id)
) WITHOUT ROWID;

-- Which servers run which scheduler files.
CREATE TABLE schedulers (
    scheduler TEXT NOT NULL,
    server    TEXT NOT NULL,
    file      TEXT NOT NULL,
    loaded_at TEXT NOT NULL,
    problem   TEXT NOT NULL DEFAULT '',     -- why the file on the disk is not in force
    PRIMARY KEY (scheduler, server)
) WITHOUT ROWID;
"""

VERSION_4 = """
-- Named slots that steps of many runs share.
CREATE TABLE pools (
    name       TEXT PRIMARY KEY,
    slots      INTEGER NOT NULL,
    changed_at TEXT NOT NULL
) WITHOUT ROWID;

-- Who holds slots, and who waits for some. The number is the order of asking and is never used again.
CREATE TABLE pool_claims (
    claim_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    pool       TEXT NOT NULL,
    slots      INTEGER NOT NULL,
    run_id     TEXT NOT NULL,
    holder     TEXT NOT NULL,
    owner      TEXT NOT NULL,
    asked_at   TEXT NOT NULL,
    granted_at TEXT,                        -- null: it waits
    expires_at TEXT NOT NULL
);
"""

_KINDS_OF_VERSION_5 = """json(CASE WHEN json_type(payload, '$.reasons') IS NOT NULL THEN json_object(
                    'keep', json_extract(payload, '$.reasons.kept'),
                    'rerun', json_extract(payload, '$.reasons.again'),
                    'end_interrupted', json_extract(payload, '$.reasons.settled'),
                    'changed', json_extract(payload, '$.reasons.changed'),
                    'never_run', json_extract(payload, '$.reasons.missed'),
                    'upgraded', json_extract(payload, '$.reasons.upgraded'),
                    'exclude', json_extract(payload, '$.reasons.left'),
                    'remove', json_extract(payload, '$.reasons.gone')) END)"""
_IN_WORDS_OF_VERSION_5 = """
    UPDATE events SET
        event = CASE event WHEN 'run_ending' THEN 'hooks_started' ELSE event END,
        payload = CASE event WHEN 'run_ending' THEN json_set(payload, '$.event', 'hooks_started')
        ELSE json_patch(
            json_remove(payload, '$.left', '$.gone', '$.endings', '$.reasons', '$.totals'),
            json_object(
                'excluded_jobs', json_extract(payload, '$.left'),
                'removed', json_extract(payload, '$.gone'),
                'ending_count', json_extract(payload, '$.endings'),
                'decisions', :reasons, 'decision_counts', :totals))
        END
    WHERE :which AND (event = 'run_ending' OR (event = 'run_resumed' AND coalesce(
        json_type(payload, '$.left'), json_type(payload, '$.gone'), json_type(payload, '$.endings'),
        json_type(payload, '$.reasons'), json_type(payload, '$.totals')) IS NOT NULL));
""".replace(":reasons", _KINDS_OF_VERSION_5).replace(
    ":totals", _KINDS_OF_VERSION_5.replace("$.reasons", "$.totals")
)
"""Rewrites events of version 4; `json_patch` drops the members that are null, hence were missing."""

VERSION_5 = """
:everywhere

-- A process of version 4 that has had the database open since before still writes its own words. They are
-- rewritten when the run is claimed again.
CREATE TRIGGER words_of_version_4 AFTER INSERT ON leases WHEN NEW.generation > 1 AND NEW.name LIKE 'run:%'
BEGIN
:of_a_run
END;

-- That a step was skipped because it had been interrupted was known by its reason only.
UPDATE events SET payload = json_set(payload, '$.was_interrupted', json('true'))
WHERE event = 'step_finished' AND instr(payload, 'interrupted, on_interrupt: skip') > 0
AND json_extract(payload, '$.status') = 'SKIPPED'
AND json_extract(payload, '$.reason') = 'interrupted, on_interrupt: skip';
""".replace(":everywhere", _IN_WORDS_OF_VERSION_5.replace(":which", "TRUE")).replace(
    ":of_a_run", _IN_WORDS_OF_VERSION_5.replace(":which", "run_id = substr(NEW.name, 5)")
)

VERSION_6 = """
-- Params that a person gave with a firing, as a JSON object: they win over those of the item.
ALTER TABLE firings ADD COLUMN params TEXT NOT NULL DEFAULT '{}';
-- The backfill that a firing belongs to, if any.
ALTER TABLE firings ADD COLUMN backfill TEXT NOT NULL DEFAULT '';
-- What a firing is for that has no timetable, for example the boot of a machine: it fires once.
ALTER TABLE firings ADD COLUMN event_key TEXT;
-- The last success before it, as its params have it: fixed when it is submitted. Empty: there was none.
ALTER TABLE firings ADD COLUMN last_success_at TEXT;
CREATE INDEX firings_of_backfills ON firings (backfill) WHERE backfill <> '';
CREATE UNIQUE INDEX firings_by_event ON firings (scheduler, item_id, event_key) WHERE event_key IS NOT NULL;

-- Items that do not tick for a while, since a person said so. An empty item_id is every item of the file.
CREATE TABLE pauses (
    scheduler  TEXT NOT NULL,
    item_id    TEXT NOT NULL,
    paused_at  TEXT NOT NULL,
    until      TEXT,                        -- null: until somebody resumes it
    reason     TEXT NOT NULL,
    paused_by  TEXT NOT NULL,
    resumed_by TEXT NOT NULL DEFAULT '',    -- who ended it before its time
    stage      TEXT NOT NULL DEFAULT 'new', -- what servers have reported: new (nothing), announced, over
    PRIMARY KEY (scheduler, item_id)
) WITHOUT ROWID;

-- Requests to run the past ticks of an item. The firings are made of them a few at a time.
CREATE TABLE backfills (
    backfill      TEXT PRIMARY KEY,
    scheduler     TEXT NOT NULL,
    item_id       TEXT NOT NULL,
    begins_at     TEXT NOT NULL,
    ends_at       TEXT NOT NULL,            -- exclusive
    made_to       TEXT NOT NULL,            -- the ticks before have their firings
    which         TEXT NOT NULL,            -- missing, failed, all
    parallel      INTEGER,                  -- null: as many as max_instances allows
    ticks         INTEGER NOT NULL,         -- how many ticks it was to run when it was requested
    params        TEXT NOT NULL DEFAULT '{}',
    requested_at  TEXT NOT NULL,
    requested_by  TEXT NOT NULL,
    finished_at   TEXT,
    cancelled_at  TEXT
) WITHOUT ROWID;

-- Alerts about late items. A row is written before its alert is reported, so that one server reports it once.
CREATE TABLE schedule_alerts (
    scheduler    TEXT NOT NULL,
    item_id      TEXT NOT NULL,
    scheduled_at TEXT NOT NULL,
    kind         TEXT NOT NULL,
    alerted_at   TEXT NOT NULL,
    message      TEXT NOT NULL,
    run_id       TEXT,                      -- the run of on_late
    PRIMARY KEY (scheduler, item_id, scheduled_at, kind)
) WITHOUT ROWID;

-- The clock of each server at its last heartbeat, and what it is.
CREATE TABLE servers (
    server     TEXT PRIMARY KEY,            -- the name of its lease
    host       TEXT NOT NULL,
    version    TEXT NOT NULL,
    started_at TEXT NOT NULL,
    clock_at   TEXT NOT NULL,
    beats      INTEGER NOT NULL DEFAULT 0,
    standby    TEXT NOT NULL DEFAULT ''     -- why it decides nothing
) WITHOUT ROWID;
"""

VERSION_7 = """
-- The text of a scheduler file in force, compressed by zlib: the file on the disk may be wrong or gone.
ALTER TABLE schedulers ADD COLUMN source BLOB NOT NULL DEFAULT x'';
-- Until when the runs of a server that stops may take. Null: it does not stop.
ALTER TABLE schedulers ADD COLUMN drains_until TEXT;
-- By how much a server's clock is ahead of those of the others. Null: there are none, or not compared yet.
ALTER TABLE servers ADD COLUMN ahead_seconds REAL;
-- The items that cannot run, each with what is wrong with its flow, manifest or params: a JSON object.
ALTER TABLE schedulers ADD COLUMN item_problems TEXT NOT NULL DEFAULT '{}';
-- Whether a tick did not run since a person or the file says so: a pause or a window.
ALTER TABLE firings ADD COLUMN is_planned INTEGER NOT NULL DEFAULT 0;
"""

VERSION_8 = """
-- High-water marks: up to where the steps of a flow have read. They outlive the runs that moved them.
CREATE TABLE marks (
    flow_id   TEXT NOT NULL,
    name      TEXT NOT NULL,
    type      TEXT,                       -- int decimal float text date datetime binary; null: it was deleted
    value     TEXT,                       -- exact, as text
    set_count INTEGER NOT NULL DEFAULT 0, -- how often people set or deleted it
    moved_at  TEXT NOT NULL,
    run_id    TEXT NOT NULL,              -- the step that moved it last; empty if a person set it
    job_id    TEXT NOT NULL,
    step_id   TEXT NOT NULL,
    set_by    TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (flow_id, name)
) WITHOUT ROWID;

-- How a step that succeeded used marks: a JSON object, by name. Null: it used none.
ALTER TABLE step_state ADD COLUMN marks TEXT;
CREATE INDEX steps_with_marks ON step_state (flow_id) WHERE marks IS NOT NULL;
"""

VERSION_9 = """
-- The runs of one flow, or with one status, in a year of runs of many flows.
CREATE INDEX run_state_by_flow ON run_state (flow_id, started_at);
CREATE INDEX run_state_by_status ON run_state (status, started_at);
-- The newest firing with one outcome of an item, in a year of firings.
CREATE INDEX firings_by_outcome ON firings (scheduler, item_id, outcome, scheduled_at);
-- The alerts that have a run, by it and by their time.
CREATE INDEX schedule_alerts_by_run ON schedule_alerts (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX schedule_alerts_by_time ON schedule_alerts (scheduler, alerted_at) WHERE run_id IS NOT NULL;

-- As it was, but it reads the leases of locks only, not those of all runs.
DROP VIEW locks;
CREATE VIEW locks AS
SELECT substr(name, 6) AS lock_key, holder, owner, generation, acquired_at, expires_at
FROM leases WHERE name >= 'lock:' AND name < 'lock;' AND released_at IS NULL
AND expires_at >= strftime('%Y-%m-%dT%H:%M:%fZ', 'now');
"""

MIGRATIONS: tuple[str, ...] = (
    VERSION_1,
    VERSION_2,
    VERSION_3,
    VERSION_4,
    VERSION_5,
    VERSION_6,
    VERSION_7,
    VERSION_8,
    VERSION_9,
)
"""The scripts that lead to version 1, 2, ... in turn."""

VERSION = len(MIGRATIONS)
