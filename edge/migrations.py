"""The schema, as sqlite-utils migrations: `python -m edge.migrations FILE` brings a database up to date.

A process of its own, run only when something is pending: sqlite-utils costs the daemon 15 MB otherwise.
"""

from __future__ import annotations

import sqlite3
import sys

from sqlite_utils import Database, Migrations

from edge import searchable
from edge.database import MIGRATIONS

migrations = Migrations("cartwire")


@migrations()
def journal_and_directory(db: Database) -> None:
    for statement in _FIRST.split(";\n"):
        db.execute(statement)


@migrations()
def presence(db: Database) -> None:
    db.execute(_PRESENT)


@migrations()
def staff(db: Database) -> None:
    for statement in _STAFF.split(";\n"):
        db.execute(statement)
    searchable.fill(db.conn)


_FIRST = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value ANY) STRICT, WITHOUT ROWID;

-- One start of the kernel. elapsed = origin + CLOCK_BOOTTIME is a clock that runs on across boots.
CREATE TABLE boot (
  n INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  base REAL NOT NULL,           -- wall clock - CLOCK_BOOTTIME at the boot's first row, seconds
  right REAL,                   -- the same when it became synchronised; null: never was
  wall REAL,                    -- the same as last seen synchronised, within a second
  origin REAL NOT NULL,
  ran REAL NOT NULL             -- CLOCK_BOOTTIME at its last commit, known when the next boot begins
) STRICT;

-- The journal. A plain rowid: seq is max + 1, and pruning never takes the newest row.
CREATE TABLE row (
  seq INTEGER PRIMARY KEY,
  kind TEXT NOT NULL,
  boot INTEGER NOT NULL,        -- of the commit
  committed REAL NOT NULL,      -- CLOCK_BOOTTIME
  instant REAL,                 -- of the reading; null: does not bear on the floor
  id BLOB NOT NULL,             -- the event's UUID; without an index: that would cost a page a commit
  who TEXT,                     -- the customer or else the pseudonym in the body
  cart TEXT,                    -- as in the body
  body BLOB NOT NULL            -- the envelope, as it is sent
) STRICT;

CREATE TABLE cursor (sink TEXT PRIMARY KEY, seq INTEGER NOT NULL) STRICT, WITHOUT ROWID;

-- Additions and removals that no app has confirmed yet.
CREATE TABLE open_push (
  id BLOB PRIMARY KEY,
  seq INTEGER NOT NULL,
  pushed REAL                   -- elapsed clock at the first PUBACK; null: not pushed yet
) STRICT, WITHOUT ROWID;

-- Rows that wait until the cache learns whose the pseudonym is: scans, and the taps of their sessions.
CREATE TABLE held (
  pseudonym TEXT NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (pseudonym, seq)
) STRICT, WITHOUT ROWID;

-- What a sink refused for good.
CREATE TABLE aside (
  sink TEXT NOT NULL, seq INTEGER NOT NULL, reason TEXT NOT NULL,
  again INTEGER NOT NULL,       -- 0: no; 1: a person wants it tried again; 2: before anything else, see edge.aside
  PRIMARY KEY (sink, seq)
) STRICT, WITHOUT ROWID;

-- Whose data is to be blanked in the rows up to a seq, and how far that has got; see edge.erasure.
CREATE TABLE erasure (
  who TEXT NOT NULL, upto INTEGER NOT NULL, done INTEGER NOT NULL, everything INTEGER NOT NULL,
  PRIMARY KEY (who, upto)
) STRICT, WITHOUT ROWID;

-- The directory: only rows of the current generation are served.
CREATE TABLE customer (
  generation INTEGER NOT NULL, id TEXT NOT NULL, cart TEXT NOT NULL, display TEXT, language TEXT,
  consents TEXT NOT NULL,       -- names, each between spaces
  PRIMARY KEY (generation, id)
) STRICT, WITHOUT ROWID;
CREATE TABLE identifier (
  generation INTEGER NOT NULL, pseudonym TEXT NOT NULL, type TEXT NOT NULL, customer TEXT NOT NULL, since INTEGER,
  PRIMARY KEY (generation, pseudonym)
) STRICT, WITHOUT ROWID;
CREATE TABLE product (
  generation INTEGER NOT NULL, gtin TEXT NOT NULL, value BLOB NOT NULL, PRIMARY KEY (generation, gtin)
) STRICT, WITHOUT ROWID
"""


_PRESENT = """
-- Who is in a beacon zone: entered and not left.
CREATE TABLE present (
  customer TEXT PRIMARY KEY,
  read_point TEXT NOT NULL,
  boot INTEGER NOT NULL,
  since REAL NOT NULL           -- CLOCK_BOOTTIME of that boot
) STRICT, WITHOUT ROWID
"""

_STAFF = """
-- Who may use the staff's page.
CREATE TABLE person (
  name TEXT PRIMARY KEY, role TEXT NOT NULL,
  secret TEXT NOT NULL          -- argon2id, as a PHC string
) STRICT, WITHOUT ROWID;

-- What staff have asked for and may still take back; see edge.intents.
CREATE TABLE intent (
  id TEXT PRIMARY KEY,
  due REAL NOT NULL,            -- elapsed clock
  action TEXT NOT NULL, staff TEXT NOT NULL, arguments BLOB NOT NULL
) STRICT, WITHOUT ROWID;

-- Bands that staff gave or took, on top of what the feed says of them.
CREATE TABLE binding (
  pseudonym TEXT PRIMARY KEY, type TEXT NOT NULL,
  customer TEXT,                -- null: nobody's
  seq INTEGER NOT NULL,         -- of the event that says so; 0: lost
  named INTEGER                 -- the generation being filled that names it, with which it goes; null: none
) STRICT, WITHOUT ROWID;

-- Whose an identifier is.
CREATE VIEW known AS
SELECT pseudonym, type, customer, NULL AS since FROM binding WHERE customer IS NOT NULL
UNION ALL
SELECT pseudonym, type, customer, since FROM identifier
WHERE generation = (SELECT value FROM meta WHERE key = 'generation')
  AND NOT EXISTS (SELECT 1 FROM binding b WHERE b.pseudonym = identifier.pseudonym);

-- What customers and products are found by, in the form of edge.hangul.
ALTER TABLE customer ADD COLUMN found_by TEXT;

-- Without positions: half the bytes. rowid is the GTIN.
CREATE VIRTUAL TABLE product_text USING fts5(names, initials, tokenize = 'trigram', detail = none, columnsize = 0);
INSERT INTO product_text (product_text, rank) VALUES ('automerge', 8)
"""


def main(path: str) -> int:
    connection = sqlite3.connect(path, timeout=5.0)
    try:
        migrations.apply(Database(connection))
        (applied,) = connection.execute("SELECT count(*) FROM _sqlite_migrations").fetchone()
        return 0 if applied == MIGRATIONS else 1
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
