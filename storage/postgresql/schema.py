"""The tables of a group: made once, by whichever node comes first, and migrated by a primary.

The protocol has its own, `beat`, `mark`, `waiting` and `meta`, beside those that hold the state.
`beat` and `mark` have one row each, which is written all the time: with room beside it stays on its
page (HOT).
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence

from bazar.errors import ConfigError, FatalError
from storage.moving import Note
from storage.postgresql.model import Model
from storage.postgresql.session import Row, Session, Statement
from storage.postgresql.transaction import BEGIN, COMMIT, ROLLBACK, check_committed

CHECK_S = 2.0  # to read what is there: a server that is slower than that is sought anew
ID_BYTES = 8  # of a database: no other one draws it
TIMEOUT_S = 60.0  # to make or change the tables
LOCK = int.from_bytes(b"bazar", "big")  # of those who make a schema: one at a time

VERSION, CLUSTER, DATABASE, MOVED = "version", "cluster", "database", "moved"  # in `meta`

FOUND = (  # by the tables of the catalog: what to_regclass knows may be from before a wait
    "SELECT EXISTS (SELECT FROM pg_catalog.pg_tables WHERE schemaname = '{s}' AND tablename ="
    " 'meta'), EXISTS (SELECT FROM pg_catalog.pg_namespace WHERE nspname = '{s}'),"
    " current_setting('server_encoding')"
)

PROTOCOL = (
    "CREATE TABLE {s}.meta (name text PRIMARY KEY, value text NOT NULL)",
    "CREATE TABLE {s}.beat (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " epoch bigint NOT NULL, epoch_id text NOT NULL, value text NOT NULL,"
    " released boolean NOT NULL, holder text, over_ms bigint NOT NULL DEFAULT 0)"
    " WITH (fillfactor = 10)",
    "CREATE TABLE {s}.mark (one boolean PRIMARY KEY DEFAULT true CHECK (one),"
    " epoch_id text NOT NULL, number bigint NOT NULL) WITH (fillfactor = 10)",
    "CREATE TABLE {s}.history (epoch bigint PRIMARY KEY, id text NOT NULL, behind bigint NOT NULL)",
    "CREATE TABLE {s}.waiting (node text PRIMARY KEY, value text NOT NULL, hears bigint NOT NULL)",
    "INSERT INTO {s}.beat (epoch, epoch_id, value, released) VALUES (0, '', '', true)",
    "INSERT INTO {s}.mark (epoch_id, number) VALUES ('', 0)",
)


async def migrate(session: Session, model: Model, cluster_id: str) -> str:
    """Make the tables of a group if the database has none; any number of nodes may try at the same
    time. Return the database's id. If the tables are older than this program's, whoever leads calls
    `upgrade`. Raises ConfigError where they are newer, another cluster's, or those of a shop that
    was moved away, or where the database is not in UTF-8; Refused where they can't be made, as on a
    standby; Broken."""
    found = await session.run(Statement(FOUND.format(s=model.schema)), timeout_s=CHECK_S)
    [(exists, _, encoded_in)] = found.results[0].rows
    if not exists:
        if encoded_in != "UTF8":
            raise ConfigError(
                f"{session.server}: the database is encoded in {encoded_in}, and books have titles"
                " in every script: make one with ENCODING 'UTF8'"
            )
        await _make(session, model, cluster_id)
    meta = Statement(f"SELECT name, value FROM {model.schema}.meta")
    reply = await session.run(meta, timeout_s=CHECK_S)
    known: dict[str, str] = dict(reply.results[0].rows)
    place = f"{session.server}, schema {model.schema}"
    version_of(known, place, model, cluster_id)
    if MOVED in known:
        Note.of(known[MOVED]).check(place)
    return known[DATABASE]


async def _make(session: Session, model: Model, cluster_id: str) -> None:
    """Make the tables, unless another node has done so meanwhile."""
    reply = await session.run(
        *BEGIN,
        Statement("SELECT pg_advisory_xact_lock($1::bigint)", (LOCK,)),
        Statement(FOUND.format(s=model.schema)),
        timeout_s=TIMEOUT_S,
    )
    [(exists, has_schema, _)] = reply.results[-1].rows
    if exists:
        await session.run(ROLLBACK, timeout_s=CHECK_S)
        return
    made = [sql.format(s=model.schema) for sql in PROTOCOL]
    if not has_schema:  # else its owner has made it for a role that may not
        made.insert(0, f"CREATE SCHEMA {model.schema}")
    made += [sql for migration in model.migrations for sql in migration]
    drawn = DATABASE, secrets.token_hex(ID_BYTES)  # only its copies have it, too
    known = f"INSERT INTO {model.schema}.meta (name, value) VALUES ($1, $2), ($3, $4), ($5, $6)"
    version = VERSION, str(len(model.migrations))
    reply = await session.run(
        *map(Statement, made),
        Statement(known, (*version, CLUSTER, cluster_id, *drawn)),
        COMMIT,
        timeout_s=TIMEOUT_S,
    )
    check_committed(reply)


def version_of(known: Mapping[str, str], place: str, model: Model, cluster_id: str) -> int:
    """Return the version of the tables, by what is in `meta`. Raises ConfigError where they are
    newer than this program, or another cluster's."""
    if known[CLUSTER] != cluster_id:
        raise ConfigError(
            f"{place}: belongs to another cluster, {known[CLUSTER]!r}, and this one is"
            f" {cluster_id!r}: each needs a database of its own. If it is this shop, with another"
            " token now, cluster.json has to tell the first id: engine.cluster_id"
        )
    version = int(known[VERSION])
    refuse_newer(version, model, place)
    return version


def refuse_newer(version: int, model: Model, place: str) -> None:
    """Raise ConfigError if a newer program has made these tables."""
    if version > len(model.migrations):
        raise ConfigError(
            f"{place}: has version {version}, and this program knows {len(model.migrations)}: start"
            " all nodes with the newer program"
        )


async def upgrade(session: Session, model: Model, epoch_id: str) -> None:
    """Bring the tables up to this program's version, as an act of the primary of the epoch of this
    id: nothing else is written meanwhile. Raises FatalError where it leads no more, ConfigError
    where another node's newer program has brought them further, since this one began."""
    reply = await session.run(
        *BEGIN,
        leading(model.schema, epoch_id),
        Statement(f"SELECT value FROM {model.schema}.meta WHERE name = $1", (VERSION,)),
        timeout_s=CHECK_S,
    )
    *_, led, [(version,)] = (result.rows for result in reply.results)
    await check_leading(session, model.schema, led)
    if int(version) >= len(model.migrations):
        await session.run(ROLLBACK, timeout_s=CHECK_S)
        refuse_newer(int(version), model, f"{session.server}, schema {model.schema}")
        return
    missing = [sql for migration in model.migrations[int(version) :] for sql in migration]
    set_version = f"UPDATE {model.schema}.meta SET value = $1 WHERE name = $2"
    reply = await session.run(
        *map(Statement, missing),
        Statement(set_version, (str(len(model.migrations)), VERSION)),
        COMMIT,
        timeout_s=TIMEOUT_S,
    )
    check_committed(reply)


def leading(schema: str, epoch_id: str) -> Statement:
    """Return what locks the mark as a batch does (P4): it has a row while this epoch is the
    newest."""
    sql = f"SELECT 1 FROM {schema}.mark WHERE epoch_id = $1 FOR NO KEY UPDATE"
    return Statement(sql, (epoch_id,))


async def check_leading(session: Session, schema: str, rows: Sequence[Row]) -> None:
    """Return if `leading` had a row. Raises FatalError otherwise, and ends the transaction."""
    if not rows:
        await session.run(ROLLBACK, timeout_s=CHECK_S)
        raise FatalError(f"{session.server}, schema {schema}: another epoch has begun")
