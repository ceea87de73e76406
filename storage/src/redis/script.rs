//! One script call applies one batch.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use ::redis::{Cmd, Script, cmd};
use cabildo_events::limits::INCREMENT_MAX;
use cabildo_projections::{Cell, CellChange};

use super::keys::Keys;
use super::unavailable;
use crate::{LaneBatch, SinkError};

const SOURCE: &str = include_str!("apply.lua");
static SCRIPT: LazyLock<Script> = LazyLock::new(|| Script::new(SOURCE));

/// What a batch does to one hash.
#[derive(Default)]
struct HashChanges<'a> {
    texts: Vec<(&'a str, &'a str)>,
    fields: Vec<&'a str>,
    increments: Vec<i64>,
    gone: Vec<&'a str>,
}

/// A batch as the script takes it: grouped by hash, so that one command writes many fields.
pub(super) struct Call<'a> {
    watermark: String,
    prev: u64,
    next: u64,
    hashes: Vec<(String, HashChanges<'a>)>,
}

impl<'a> Call<'a> {
    pub(super) fn of(batch: &'a LaneBatch<CellChange>, names: &Keys) -> Result<Self, SinkError> {
        let mut hashes: BTreeMap<(&str, &str), HashChanges<'a>> = BTreeMap::new();
        for change in &batch.changes {
            let Cell { table, key, field } = change.cell();
            let hash = hashes.entry((table, key)).or_default();
            match change {
                CellChange::Put(_, text) => hash.texts.push((field, text)),
                CellChange::Remove(_) => hash.gone.push(field),
                CellChange::Add(_, more) if more.unsigned_abs() < INCREMENT_MAX => {
                    hash.fields.push(field);
                    hash.increments.push(*more);
                }
                CellChange::Add(..) => return Err(unavailable(format!("an increment of {table} {key} is too large"))),
            }
        }
        let name = |(table, key): (&str, &str)| names.hash(batch.projection, batch.lane, table, key);
        Ok(Self {
            watermark: names.watermark(batch.projection, batch.lane),
            prev: batch.prev,
            next: batch.next,
            hashes: hashes.into_iter().map(|(hash, changes)| (name(hash), changes)).collect(),
        })
    }

    /// Calls the script by its hash: enough where the server knows it already.
    pub(super) fn by_hash(&self) -> Cmd {
        self.command("EVALSHA", SCRIPT.get_hash())
    }

    /// Calls the script by its source, which the server then knows (until it is restarted or told to forget).
    pub(super) fn by_source(&self) -> Cmd {
        self.command("EVAL", SOURCE)
    }

    fn command(&self, name: &str, script: &str) -> Cmd {
        let mut command = cmd(name);
        command.arg(script).arg(1 + self.hashes.len()).arg(&self.watermark);
        for (key, _) in &self.hashes {
            command.arg(key);
        }
        command.arg(self.prev).arg(self.next);
        for (_, hash) in &self.hashes {
            command.arg(hash.texts.len()).arg(hash.fields.len()).arg(hash.gone.len());
            for (field, text) in &hash.texts {
                command.arg(field).arg(text);
            }
            command.arg(&hash.fields).arg(&hash.increments).arg(&hash.gone);
        }
        command
    }
}

/// A field of what `INFO` answers: lines of `name:value`.
pub(super) fn info_field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}
