//! All cells of a lane. Keys are looked for with `SCAN`, which holds up nobody: what is there from the beginning to the end is
//! found, maybe twice.

use ::redis::{cmd, pipe};
use cabildo_events::Lane;
use cabildo_events::limits::{SCAN_CALLS, SCAN_HASHES, SCAN_KEYS};
use cabildo_projections::{Cell, ProjectionId};

use super::counters::RedisCounters;
use crate::sink::Place;
use crate::{Cursor, RowPage, SinkError};

impl RedisCounters {
    /// Some keys that match, and where to go on, unless that was the end.
    pub(super) async fn scan(&self, from: u64, pattern: &str) -> Result<(Option<u64>, Vec<String>), SinkError> {
        let command = cmd("SCAN").arg(from).arg("MATCH").arg(pattern).arg("COUNT").arg(SCAN_KEYS).to_owned();
        let (next, keys): (u64, Vec<String>) = self.ask(&command).await?;
        Ok((Some(next).filter(|next| *next > 0), keys))
    }

    pub(super) async fn lane_rows(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage<Cell, Box<str>>, SinkError> {
        let (mut hashes, mut scan) = match after {
            Some(Cursor(Place::Scan { hashes, scan })) => (hashes, scan),
            _ => (Vec::new(), Some(0)),
        };
        let pattern = self.keys.of_lane(projection, lane);
        let mut rows = Vec::new();
        // Few keys of many may be of this lane: then a page comes with what was found until here.
        for _ in 0..SCAN_CALLS {
            if rows.len() >= limit {
                break;
            }
            if hashes.is_empty() {
                let Some(from) = scan else { break };
                let (next, keys) = self.scan(from, &pattern).await?;
                let known = |name: &String| {
                    self.keys.parts(projection, lane, name).is_some_and(|(table, _)| tables.contains(&table))
                };
                hashes.extend(keys.into_iter().filter(known).map(|key| (key, 0)));
                scan = next;
            }
            let taken = hashes.split_off(hashes.len().saturating_sub(SCAN_HASHES));
            hashes.extend(self.some_fields(projection, lane, tables, taken, limit, &mut rows).await?);
        }
        let next = (!hashes.is_empty() || scan.is_some()).then_some(Cursor(Place::Scan { hashes, scan }));
        Ok(RowPage { rows, next })
    }

    /// Some fields of each hash; which of them have more, and where to go on.
    async fn some_fields(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        hashes: Vec<(String, u64)>,
        limit: usize,
        rows: &mut Vec<(Cell, Box<str>)>,
    ) -> Result<Vec<(String, u64)>, SinkError> {
        if hashes.is_empty() {
            return Ok(hashes);
        }
        let each = (limit / hashes.len()).max(1);
        let mut commands = pipe();
        for (hash, from) in &hashes {
            commands.cmd("HSCAN").arg(hash).arg(from).arg("COUNT").arg(each);
        }
        let answers: Vec<(u64, Vec<(String, String)>)> = self.ask_all(&commands).await?;
        let mut more = Vec::new();
        for ((hash, _), (next, fields)) in hashes.into_iter().zip(answers) {
            if let Some((table, key)) = self.keys.parts(projection, lane, &hash)
                && let Some(table) = tables.iter().find(|known| **known == table)
            {
                rows.extend(fields.into_iter().map(|(field, text)| (Cell::new(table, key, &field), text.into())));
            }
            if next > 0 {
                more.push((hash, next));
            }
        }
        Ok(more)
    }
}
