//! The journal as a SQLite file: synchronous code over one connection.

use std::borrow::Cow;

use bytes::Bytes;
use cabildo_events::limits::EVENT_DATA_BYTES_MAX;
use cabildo_events::{Aggregate, Envelope, EventId, Lane, Position, Recorded, Timestamp, Unreadable};
use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};
use uuid::Uuid;

use super::database::{Layout, in_memory};
use crate::{Append, AppendError, Appended, Expect, LaneHeads, Page, Parked};

pub(super) const LAYOUT: Layout = Layout {
    name: "journal",
    schema: 2,
    tables: "
        CREATE TABLE events (
            seq INTEGER PRIMARY KEY,
            id BLOB NOT NULL UNIQUE,
            lane INTEGER NOT NULL,
            aggregate TEXT NOT NULL,
            ruled INTEGER NOT NULL,
            kind TEXT NOT NULL,
            version INTEGER NOT NULL,
            time INTEGER NOT NULL,
            recorded INTEGER NOT NULL,
            actor TEXT,
            correlation BLOB,
            causation BLOB,
            traceparent TEXT,
            data BLOB NOT NULL
        );
        CREATE INDEX events_ruled ON events (aggregate, seq) WHERE ruled;
        CREATE INDEX events_lane ON events (lane, seq, aggregate);
        CREATE TABLE lanes (lane INTEGER PRIMARY KEY, head INTEGER NOT NULL);
        CREATE TABLE parked (
            projection TEXT NOT NULL,
            version INTEGER NOT NULL,
            seq INTEGER NOT NULL,
            body TEXT NOT NULL,
            PRIMARY KEY (projection, version, seq)
        ) WITHOUT ROWID;",
    upgrades: &[index_lanes],
    fsync: true,
    private: false,
};

/// To schema 2: an index by lane, for [`of`].
fn index_lanes(connection: &Connection) -> rusqlite::Result<()> {
    connection.execute_batch("CREATE INDEX events_lane ON events (lane, seq, aggregate);")
}

const COLUMNS: &str =
    "seq, id, lane, aggregate, kind, version, time, recorded, actor, correlation, causation, traceparent, data";

/// The journal's file.
#[derive(Debug)]
pub struct JournalFile {
    connection: Connection,
    last: u64,
    recorded: Timestamp,
    heads: LaneHeads,
}

impl JournalFile {
    /// A journal in memory, empty, for the simulation.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn in_memory() -> rusqlite::Result<Self> {
        Self::new(in_memory(&LAYOUT)?)
    }

    pub(super) fn new(connection: Connection) -> rusqlite::Result<Self> {
        let heads = lane_heads(&connection)?;
        let (last, recorded) = last_recorded(&connection)?;
        Ok(Self { connection, last, recorded, heads })
    }

    /// The events after a sequence, up to and including another, at most so many.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn read(&self, after: u64, until: u64, limit: usize) -> rusqlite::Result<Page> {
        read(&self.connection, after, until, limit)
    }

    /// The ruled events of an aggregate.
    ///
    /// # Errors
    /// When SQLite fails.
    pub fn ruled(&self, aggregate: &Aggregate) -> rusqlite::Result<Page> {
        ruled(&self.connection, aggregate)
    }

    /// The last sequence.
    #[must_use]
    pub const fn last(&self) -> u64 {
        self.last
    }

    /// The last sequence of each lane.
    #[must_use]
    pub const fn heads(&self) -> LaneHeads {
        self.heads
    }

    /// Appends in one transaction, durable when this returns. `now` is the journal's clock; times never go back. What
    /// another process appended meanwhile is taken note of.
    pub fn append(&mut self, batch: &[Append], now: Timestamp) -> Vec<Result<Appended, AppendError>> {
        let before = (self.last, self.recorded, self.heads);
        match self.append_all(batch, now) {
            Ok(answers) => answers,
            Err(error) => {
                (self.last, self.recorded, self.heads) = before;
                let error = append_error(&error);
                batch.iter().map(|_| Err(error.clone())).collect()
            }
        }
    }

    fn append_all(&mut self, batch: &[Append], now: Timestamp) -> rusqlite::Result<Vec<Result<Appended, AppendError>>> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if last(&transaction)? != self.last {
            (self.last, self.recorded) = last_recorded(&transaction)?;
            self.heads = lane_heads(&transaction)?;
        }
        let recorded = now.max(self.recorded);
        self.recorded = recorded;
        let before = self.heads;
        let mut answers = Vec::with_capacity(batch.len());
        for Append { envelope, expect } in batch {
            let answer = append_one(&transaction, envelope, *expect, self.last + 1, recorded)?;
            if let Ok(Appended { position, repeated: false }) = answer {
                self.last = position.seq;
                self.heads.0[envelope.aggregate.lane().index()] = position.seq;
            }
            answers.push(answer);
        }
        {
            let mut upsert = transaction.prepare_cached("INSERT OR REPLACE INTO lanes (lane, head) VALUES (?, ?)")?;
            for lane in Lane::all().filter(|lane| self.heads[*lane] != before[*lane]) {
                upsert.execute(params![lane.number(), self.heads[lane]])?;
            }
        }
        transaction.commit()?;
        Ok(answers)
    }

    /// Sets events aside; one that is there already stays.
    pub(super) fn park(&mut self, parked: &[Parked]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for one in parked {
            let body = serde_json::to_string(one).unwrap_or_default();
            transaction
                .prepare_cached("INSERT OR IGNORE INTO parked (projection, version, seq, body) VALUES (?, ?, ?, ?)")?
                .execute(params![one.projection, one.version, one.position.seq, body])?;
        }
        transaction.commit()
    }

    /// Takes events back from where they were set aside.
    pub(super) fn unpark(&mut self, projection: &str, version: u32, positions: &[Position]) -> rusqlite::Result<()> {
        let transaction = self.connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        for position in positions {
            transaction
                .prepare_cached("DELETE FROM parked WHERE projection = ? AND version = ? AND seq = ?")?
                .execute(params![projection, version, position.seq])?;
        }
        transaction.commit()
    }
}

/// The last sequence and when it was recorded; 0 and the beginning of time if there is none.
fn last_recorded(connection: &Connection) -> rusqlite::Result<(u64, Timestamp)> {
    let last = connection
        .prepare_cached("SELECT seq, recorded FROM events ORDER BY seq DESC LIMIT 1")?
        .query_row([], |row| Ok((row.get(0)?, Timestamp::from_micros(row.get(1)?))))
        .optional()?;
    Ok(last.unwrap_or_default())
}

fn append_one(
    connection: &Connection,
    envelope: &Envelope,
    expect: Expect,
    seq: u64,
    recorded: Timestamp,
) -> rusqlite::Result<Result<Appended, AppendError>> {
    if envelope.data.len() > EVENT_DATA_BYTES_MAX {
        return Ok(Err(AppendError::TooLarge { bytes: envelope.data.len(), max: EVENT_DATA_BYTES_MAX }));
    }
    let repeated = |seq| Ok(Ok(Appended { position: Position::at(seq), repeated: true }));
    let aggregate = envelope.aggregate.to_string();
    if let Expect::Last(expected) = expect {
        // A repeated event is the first one, whatever has happened since.
        if let Some(seq) = seq_of(connection, envelope.id)? {
            return repeated(seq);
        }
        let last: Option<u64> = connection
            .prepare_cached("SELECT max(seq) FROM events WHERE aggregate = ? AND ruled")?
            .query_row([&aggregate], |row| row.get(0))?;
        if last.unwrap_or(0) != expected {
            return Ok(Err(AppendError::Conflict));
        }
    }
    let written = connection
        .prepare_cached(
            "INSERT INTO events (seq, id, lane, aggregate, ruled, kind, version, time, recorded, actor, correlation,
                                 causation, traceparent, data)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING",
        )?
        .execute(params![
            seq,
            envelope.id.0,
            envelope.aggregate.lane().number(),
            aggregate,
            envelope.is_ruled(),
            envelope.kind,
            envelope.schema_version,
            envelope.time.micros(),
            recorded.micros(),
            envelope.actor.as_ref().map(cabildo_events::Actor::as_str),
            envelope.correlation.map(|id| id.0),
            envelope.causation.map(|id| id.0),
            envelope.traceparent,
            &envelope.data[..],
        ])?;
    match written {
        0 => repeated(seq_of(connection, envelope.id)?.unwrap_or(0)),
        _ => Ok(Ok(Appended { position: Position::at(seq), repeated: false })),
    }
}

fn seq_of(connection: &Connection, id: EventId) -> rusqlite::Result<Option<u64>> {
    connection.prepare_cached("SELECT seq FROM events WHERE id = ?")?.query_row([id.0], |row| row.get(0)).optional()
}

/// The last sequence; 0 if there is none.
pub(super) fn last(connection: &Connection) -> rusqlite::Result<u64> {
    let last: Option<u64> =
        connection.prepare_cached("SELECT max(seq) FROM events")?.query_row([], |row| row.get(0))?;
    Ok(last.unwrap_or(0))
}

/// The last sequence of each lane.
pub(super) fn lane_heads(connection: &Connection) -> rusqlite::Result<LaneHeads> {
    let mut heads = LaneHeads([0; cabildo_events::LANES as usize]);
    let mut statement = connection.prepare_cached("SELECT lane, head FROM lanes")?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(lane) = Lane::new(row.get(0)?) {
            heads.0[lane.index()] = row.get(1)?;
        }
    }
    Ok(heads)
}

/// The events after a sequence, up to and including another, at most so many.
pub(super) fn read(connection: &Connection, after: u64, until: u64, limit: usize) -> rusqlite::Result<Page> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?");
    // SQLite's integers are signed.
    let until = i64::try_from(until).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map(params![after, until, limit], recorded)?;
    rows.collect()
}

/// The events of an aggregate after a sequence, up to and including another, at most so many.
///
/// By an index that begins with the lane: its 64 ends are where new entries go, which costs an append a twentieth. An index by
/// aggregate would be written all over, which costs it as much again.
pub(super) fn of(
    connection: &Connection,
    aggregate: &Aggregate,
    after: u64,
    until: u64,
    limit: usize,
) -> rusqlite::Result<Page> {
    let sql = format!(
        "SELECT {COLUMNS} FROM events WHERE lane = ? AND seq > ? AND seq <= ? AND aggregate = ? ORDER BY seq LIMIT ?"
    );
    let until = i64::try_from(until).unwrap_or(i64::MAX);
    let mut statement = connection.prepare_cached(&sql)?;
    let wanted = params![aggregate.lane().number(), after, until, aggregate.to_string(), limit];
    statement.query_map(wanted, recorded)?.collect()
}

/// The ruled events of an aggregate.
pub(super) fn ruled(connection: &Connection, aggregate: &Aggregate) -> rusqlite::Result<Page> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE aggregate = ? AND ruled ORDER BY seq");
    let mut statement = connection.prepare_cached(&sql)?;
    let rows = statement.query_map([aggregate.to_string()], recorded)?;
    rows.collect()
}

/// The event with an id.
pub(super) fn find(connection: &Connection, id: EventId) -> rusqlite::Result<Option<Recorded>> {
    let sql = format!("SELECT {COLUMNS} FROM events WHERE id = ?");
    connection.prepare_cached(&sql)?.query_row([id.0], recorded).optional()
}

/// What is set aside.
pub(super) fn parked(connection: &Connection, projection: &str, version: u32) -> rusqlite::Result<Vec<Parked>> {
    let mut statement =
        connection.prepare_cached("SELECT body FROM parked WHERE projection = ? AND version = ? ORDER BY seq")?;
    let rows = statement.query_map(params![projection, version], |row| row.get::<_, String>(0))?;
    let bodies = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    Ok(bodies.iter().filter_map(|body| serde_json::from_str(body).ok()).collect())
}

fn recorded(row: &Row<'_>) -> rusqlite::Result<Recorded> {
    let lane = Lane::new(row.get(2)?);
    let envelope = envelope(row).or_else(|error| {
        let aggregate = row.get::<_, String>(3).ok().and_then(|text| text.parse().ok());
        let data = Bytes::from(row.get::<_, Vec<u8>>(12).unwrap_or_default());
        Ok::<_, rusqlite::Error>(Err(Unreadable { reason: error.to_string(), aggregate, data }))
    })?;
    let fallback = envelope.as_ref().map_or_else(|_| None, |envelope| Some(envelope.aggregate.lane()));
    Ok(Recorded {
        position: Position::at(row.get(0)?),
        lane: lane.or(fallback).unwrap_or(Lane::FIRST),
        recorded: Timestamp::from_micros(row.get(7)?),
        envelope,
    })
}

fn envelope(row: &Row<'_>) -> rusqlite::Result<Result<Envelope, Unreadable>> {
    fn text<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
        row: &Row<'_>,
        column: usize,
    ) -> rusqlite::Result<T> {
        let bad =
            |error| rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error));
        row.get_ref(column)?.as_str()?.parse().map_err(bad)
    }
    let kind = row.get_ref(4)?.as_str()?;
    let actor = match row.get_ref(8)? {
        rusqlite::types::ValueRef::Null => None,
        _ => Some(text(row, 8)?),
    };
    Ok(Ok(Envelope {
        id: EventId(row.get(1)?),
        kind: cabildo_events::known_type(kind).map_or_else(|| Cow::Owned(kind.to_owned()), Cow::Borrowed),
        aggregate: text(row, 3)?,
        time: Timestamp::from_micros(row.get(6)?),
        actor,
        correlation: row.get::<_, Option<Uuid>>(9)?.map(EventId),
        causation: row.get::<_, Option<Uuid>>(10)?.map(EventId),
        schema_version: row.get(5)?,
        traceparent: row.get(11)?,
        data: Bytes::copy_from_slice(row.get_ref(12)?.as_blob()?),
    }))
}

fn append_error(error: &rusqlite::Error) -> AppendError {
    match error.sqlite_error_code() {
        Some(rusqlite::ErrorCode::DiskFull) => AppendError::DiskFull,
        _ => AppendError::Unavailable(error.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::database::{Access, Database};
    use super::*;

    #[test]
    fn a_journal_of_the_first_schema_gets_its_index() {
        let folder = tempfile::tempdir().unwrap();
        let old = Connection::open(folder.path().join("journal.db")).unwrap();
        let tables = LAYOUT.tables.replace("CREATE INDEX events_lane ON events (lane, seq, aggregate);", "");
        old.execute_batch(&format!("{tables} PRAGMA application_id = 1128350281; PRAGMA user_version = 1;")).unwrap();
        let aggregate: Aggregate = "poll/bands".parse().unwrap();
        let insert = "INSERT INTO events (seq, id, lane, aggregate, ruled, kind, version, time, recorded, data)
                      VALUES (1, ?, ?, 'poll/bands', 1, 'poll.closed', 1, 0, 0, '{}')";
        old.execute(insert, params![Uuid::from_u128(1), aggregate.lane().number()]).unwrap();
        drop(old);
        let database = Database::open(folder.path().to_str().unwrap(), LAYOUT, Access::Write).unwrap();
        let reader = database.reader().unwrap();
        let indexed: u32 = reader
            .query_row("SELECT count(*) FROM sqlite_schema WHERE name = 'events_lane'", [], |row| row.get(0))
            .unwrap();
        assert_eq!((indexed, of(&reader, &aggregate, 0, u64::MAX, 10).unwrap().len()), (1, 1));
        let plan: String = reader
            .query_row(
                "EXPLAIN QUERY PLAN SELECT * FROM events WHERE lane = 1 AND seq > 0 AND seq <= 9 AND aggregate = 'a' ORDER BY seq LIMIT 1",
                [],
                |row| row.get(3),
            )
            .unwrap();
        assert!(plan.contains("events_lane"), "{plan}");
    }
}
