"""Read and write pools: named slots that steps of many runs and processes share, and the queue for them.

Each function works inside the caller's transaction.

A claim is a row of `pool_claims`: it waits until it is granted, and is deleted when it is released. Claims
are granted strictly in the order of their numbers, which are never reused, so that large requests do not
starve. A claim is stale when its process is dead or its time has expired.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from aetherflow.cli_hints import state_option
from aetherflow.errors import StepError
from aetherflow.sdk.pools import PoolWait
from aetherflow.store.process_identity import ProcessIdentity, is_dead
from aetherflow.store.projection import timestamp

HOLDERS_SHOWN = 10

_owners = msgspec.json.Decoder(ProcessIdentity)  # made here: two threads must not meet a type at once


class SlotRequest(msgspec.Struct, frozen=True):
    """A request for slots; `holder` describes the step that makes it, in words."""

    pool: str
    slots: int
    run_id: str
    holder: str
    owner: ProcessIdentity
    ttl_seconds: float


class ClaimRow(msgspec.Struct, frozen=True):
    """A claim in the database; one that is not granted waits."""

    claim_id: int
    pool: str
    slots: int
    run_id: str
    holder: str
    owner: str
    asked_at: str
    granted_at: str | None
    expires_at: str


class PoolRow(msgspec.Struct, frozen=True):
    """A pool with its granted and its waiting claims, in order; stale claims are left out."""

    name: str
    slots: int
    used: int
    held: tuple[ClaimRow, ...]
    waiting: tuple[ClaimRow, ...]


class Survey(msgspec.Struct, frozen=True):
    """The changes that `settle` would make.

    Attributes:
        stale: claims to delete: their process is dead, or their time is over.
        grants: claims to grant.
        impossible: claims for more slots than the pool has, since it was made smaller or removed.
    """

    stale: list[int]
    grants: list[int]
    impossible: list[int]


def set_pool(raw: sqlite3.Connection, name: str, slots: int, now: datetime) -> None:
    """Create a pool, or change its size; slots in use stay in use."""
    raw.execute(
        "INSERT INTO pools (name, slots, changed_at) VALUES (?, ?, ?) "
        "ON CONFLICT DO UPDATE SET slots = excluded.slots, changed_at = excluded.changed_at "
        "WHERE slots <> excluded.slots",
        (name, slots, timestamp(now)),
    )


def remove_pool(raw: sqlite3.Connection, name: str) -> bool:
    """Remove a pool; False if there is none. Its claims fail at the next poll of their steps."""
    return raw.execute("DELETE FROM pools WHERE name = ?", (name,)).rowcount == 1


def size_of(raw: sqlite3.Connection, pool: str, slots: int) -> int:
    """Return how many slots a pool has.

    Raises:
        StepError: there is no such pool, or it has fewer slots than requested.
    """
    row = raw.execute("SELECT slots FROM pools WHERE name = ?", (pool,)).fetchone()
    if row is None:
        raise StepError(
            f"there is no pool {pool!r} in the state database {_file_of(raw)}",
            hint=f"make it: aetherflow pools set {pool} SLOTS {state_option(_file_of(raw))}, or name it "
            "under pools in the scheduler file",
            code="AF640",
            detail={"pool": pool},
        )
    size: int = row[0]
    if slots > size:
        raise StepError(
            f"the step wants {slots} slots of the pool {pool!r}, which has {size} in {_file_of(raw)}",
            hint="lower slots, or enlarge the pool: "
            f"aetherflow pools set {pool} {slots} {state_option(_file_of(raw))}",
            code="AF641",
            detail={"pool": pool},
        )
    return size


def _file_of(raw: sqlite3.Connection) -> str:
    """Return the path of the database for messages, as each database has its own pools."""
    (_, _, path) = raw.execute("PRAGMA database_list").fetchone()
    return str(path)


def ask(raw: sqlite3.Connection, claim: SlotRequest, now: datetime) -> int:
    """Add a claim to the queue and return its number; `settle` grants it.

    Raises:
        StepError: there is no such pool, or it has fewer slots than requested.
    """
    size_of(raw, claim.pool, claim.slots)
    row = raw.execute(
        "INSERT INTO pool_claims (pool, slots, run_id, holder, owner, asked_at, expires_at) "
        "VALUES (?, ?, ?, ?, ?, ?, ?) RETURNING claim_id",
        (
            claim.pool,
            claim.slots,
            claim.run_id,
            claim.holder,
            msgspec.json.encode(claim.owner).decode(),
            timestamp(now),
            timestamp(now + timedelta(seconds=claim.ttl_seconds)),
        ),
    ).fetchone()
    return int(row[0])


def survey(raw: sqlite3.Connection, now: datetime) -> Survey:
    """Return the changes that `settle` would make, without making them."""
    sizes = dict(raw.execute("SELECT name, slots FROM pools").fetchall())
    free = dict(sizes)
    claims, stale = _claims(raw, now)
    for claim in claims:
        if claim.granted_at is not None:
            free[claim.pool] = free.get(claim.pool, 0) - claim.slots
    due = Survey(stale, [], [])
    closed: set[str] = set()
    for claim in claims:
        if claim.granted_at is not None:
            continue
        if claim.slots > sizes.get(claim.pool, 0):
            due.impossible.append(claim.claim_id)
        elif claim.pool in closed or claim.slots > free[claim.pool]:
            closed.add(claim.pool)  # later claims do not overtake
        else:
            free[claim.pool] -= claim.slots
            due.grants.append(claim.claim_id)
    return due


def settle(raw: sqlite3.Connection, now: datetime) -> list[int]:
    """Delete stale claims and grant those that are next; return the claims that were granted."""
    due = survey(raw, now)
    raw.executemany("DELETE FROM pool_claims WHERE claim_id = ?", [(claim_id,) for claim_id in due.stale])
    raw.executemany(
        "UPDATE pool_claims SET granted_at = ? WHERE claim_id = ?",
        [(timestamp(now), claim_id) for claim_id in due.grants],
    )
    return due.grants


def granted(raw: sqlite3.Connection, claim_ids: Collection[int]) -> dict[int, bool]:
    """Return which of these claims are granted; a claim that no longer exists does not appear."""
    rows = raw.execute(
        "SELECT claim_id, granted_at IS NOT NULL FROM pool_claims "
        "WHERE claim_id IN (SELECT value FROM json_each(?))",
        (msgspec.json.encode(list(claim_ids)).decode(),),
    )
    return {claim_id: bool(is_granted) for claim_id, is_granted in rows}


def renew(raw: sqlite3.Connection, claim_ids: Collection[int], now: datetime, ttl_seconds: float) -> None:
    """Extend the time of claims."""
    until = timestamp(now + timedelta(seconds=ttl_seconds))
    raw.executemany(
        "UPDATE pool_claims SET expires_at = ? WHERE claim_id = ?", [(until, claim) for claim in claim_ids]
    )


def release(raw: sqlite3.Connection, claim_id: int) -> bool:
    """Delete a claim, granted or not; False if it no longer existed."""
    return raw.execute("DELETE FROM pool_claims WHERE claim_id = ?", (claim_id,)).rowcount == 1


def wait_of(raw: sqlite3.Connection, claim_id: int, now: datetime) -> PoolWait:
    """Return why a claim is not granted yet."""
    claims, _ = _claims(raw, now)
    mine = next(claim for claim in claims if claim.claim_id == claim_id)
    same = [claim for claim in claims if claim.pool == mine.pool]
    holders = [claim.holder for claim in same if claim.granted_at is not None]
    return PoolWait(
        mine.pool,
        mine.slots,
        size_of(raw, mine.pool, mine.slots),
        tuple(holders[:HOLDERS_SHOWN]),
        sum(claim.granted_at is None and claim.claim_id < claim_id for claim in same),
    )


def list_pools(raw: sqlite3.Connection, now: datetime) -> list[PoolRow]:
    """Return the pools by name; a pool that only claims mention has size 0."""
    claims, _ = _claims(raw, now)
    sizes = dict(raw.execute("SELECT name, slots FROM pools").fetchall())
    for claim in claims:
        sizes.setdefault(claim.pool, 0)
    return [_pool(name, sizes[name], claims) for name in sorted(sizes)]


def _pool(name: str, size: int, claims: Sequence[ClaimRow]) -> PoolRow:
    mine = [claim for claim in claims if claim.pool == name]
    held = tuple(claim for claim in mine if claim.granted_at is not None)
    waiting = tuple(claim for claim in mine if claim.granted_at is None)
    return PoolRow(name, size, sum(claim.slots for claim in held), held, waiting)


def _claims(raw: sqlite3.Connection, now: datetime) -> tuple[list[ClaimRow], list[int]]:
    """Return the live claims in their order, and the numbers of the stale ones."""
    rows = raw.execute(
        "SELECT claim_id, pool, slots, run_id, holder, owner, asked_at, granted_at, expires_at "
        "FROM pool_claims ORDER BY claim_id"
    )
    live: list[ClaimRow] = []
    stale: list[int] = []
    dead: dict[str, bool] = {}
    moment = timestamp(now)
    for row in rows:
        claim = ClaimRow(*row)
        if claim.owner not in dead:
            dead[claim.owner] = is_dead(_owners.decode(claim.owner))
        if dead[claim.owner] or claim.expires_at < moment:
            stale.append(claim.claim_id)
        else:
            live.append(claim)
    return live, stale
