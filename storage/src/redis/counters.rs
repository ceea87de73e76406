//! The port, in Redis's commands.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use ::redis::aio::ConnectionManager;
use ::redis::{Cmd, ErrorKind, FromRedisValue, Pipeline, RedisResult, ServerErrorKind, cmd, pipe};
use async_trait::async_trait;
use cabildo_events::Lane;
use cabildo_projections::{Cell, CellChange, ProjectionId};

use super::address::Address;
use super::keys::Keys;
use super::script::{Call, info_field};
use super::{unavailable, within_bound};
use crate::{Applied, Counters, Cursor, Hashes, LaneBatch, Loaded, RowPage, Shown, Sink, SinkError, Watermarks};

const SHOW: &str = include_str!("show.lua");

/// Counters on one server, under one prefix. All calls share one connection, which is made anew when it breaks.
pub(super) struct RedisCounters {
    connection: ConnectionManager,
    pub(super) keys: Keys,
    shown: String,
}

impl RedisCounters {
    pub(super) fn new(connection: ConnectionManager, address: &Address) -> Self {
        Self { connection, keys: Keys::under(&address.prefix), shown: address.shown.clone() }
    }

    /// The layout's version; written if there is none.
    pub(super) async fn schema(&self, known: u32) -> Result<String, SinkError> {
        let key = self.keys.schema();
        let (schema,) = self.ask_all(pipe().cmd("SETNX").arg(&key).arg(known).ignore().get(&key)).await?;
        Ok(schema)
    }

    /// What the server says of itself.
    pub(super) async fn info(&self) -> Result<String, SinkError> {
        self.ask(&cmd("INFO")).await
    }

    pub(super) async fn ask<T: FromRedisValue>(&self, command: &Cmd) -> Result<T, SinkError> {
        within_bound(self.query(command)).await
    }

    async fn query<T: FromRedisValue>(&self, command: &Cmd) -> RedisResult<T> {
        command.query_async(&mut self.connection.clone()).await
    }

    pub(super) async fn ask_all<T: FromRedisValue>(&self, commands: &Pipeline) -> Result<T, SinkError> {
        within_bound(commands.query_async(&mut self.connection.clone())).await
    }

    /// The watermark and then some hashes, read in one transaction.
    async fn at_watermark<T: FromRedisValue>(
        &self,
        projection: ProjectionId,
        lane: Lane,
        reads: impl IntoIterator<Item = Cmd>,
    ) -> Result<(u64, Vec<T>), SinkError> {
        let mut commands = pipe();
        commands.atomic().get(self.keys.watermark(projection, lane));
        for read in reads {
            commands.add_command(read);
        }
        let answers: Vec<::redis::Value> = self.ask_all(&commands).await?;
        let mut answers = answers.into_iter();
        let watermark: Option<String> = understood(answers.next().unwrap_or(::redis::Value::Nil))?;
        let read = answers.map(understood).collect::<Result<_, _>>()?;
        Ok((sequence(watermark.as_deref())?, read))
    }
}

#[async_trait]
impl Sink for RedisCounters {
    type Key = Cell;
    type Row = Box<str>;
    type Change = CellChange;

    async fn watermarks(&self, projection: ProjectionId) -> Result<Watermarks, SinkError> {
        let mut commands = pipe();
        for lane in Lane::all() {
            commands.get(self.keys.watermark(projection, lane));
        }
        let stand: Vec<Option<String>> = self.ask_all(&commands).await?;
        let mut watermarks = Watermarks::default();
        for (lane, text) in watermarks.0.iter_mut().zip(stand) {
            *lane = sequence(text.as_deref())?;
        }
        Ok(watermarks)
    }

    async fn watermark(&self, projection: ProjectionId, lane: Lane) -> Result<u64, SinkError> {
        let stands: Option<String> = self.ask(cmd("GET").arg(self.keys.watermark(projection, lane))).await?;
        sequence(stands.as_deref())
    }

    async fn load(
        &self,
        projection: ProjectionId,
        lane: Lane,
        keys: Vec<Cell>,
    ) -> Result<Loaded<Cell, Box<str>>, SinkError> {
        let mut hashes: Vec<Vec<Cell>> = Vec::new();
        let mut places: HashMap<(&'static str, Box<str>), usize> = HashMap::new();
        for cell in keys {
            let place = *places.entry((cell.table, cell.key.clone())).or_insert_with(|| {
                hashes.push(Vec::new());
                hashes.len() - 1
            });
            hashes[place].push(cell);
        }
        let reads = hashes.iter().map(|cells| {
            let mut read = cmd("HMGET");
            read.arg(self.keys.hash(projection, lane, cells[0].table, &cells[0].key));
            cells.iter().for_each(|cell| {
                read.arg(&*cell.field);
            });
            read
        });
        let (watermark, texts) = self.at_watermark::<Vec<Option<String>>>(projection, lane, reads).await?;
        let texts = texts.into_iter().flatten().map(|text| text.map(String::into_boxed_str));
        Ok(Loaded { watermark, rows: hashes.into_iter().flatten().zip(texts).collect() })
    }

    /// One script call, whole or not at all. If its answer is lost it may be applied all the same; the same batch again
    /// then ends in a conflict at its own `next`.
    async fn apply(&self, batch: LaneBatch<CellChange>) -> Result<Applied, SinkError> {
        let call = Call::of(&batch, &self.keys)?;
        let stands: Option<String> = within_bound(async {
            match self.query(&call.by_hash()).await {
                Err(error) if error.kind() == ErrorKind::Server(ServerErrorKind::NoScript) => {
                    self.query(&call.by_source()).await
                }
                answer => answer,
            }
        })
        .await?;
        match stands {
            None => Ok(Applied::Done),
            Some(stands) => Ok(Applied::Conflict { watermark: sequence(Some(&stands))? }),
        }
    }

    async fn rows(
        &self,
        projection: ProjectionId,
        lane: Lane,
        tables: &'static [&'static str],
        after: Option<Cursor>,
        limit: usize,
    ) -> Result<RowPage<Cell, Box<str>>, SinkError> {
        self.lane_rows(projection, lane, tables, after, limit).await
    }

    async fn versions(&self, projection: &str) -> Result<Vec<u32>, SinkError> {
        let mut versions = BTreeSet::new();
        let pattern = self.keys.of_watermarks(projection);
        let mut scan = Some(0);
        while let Some(from) = scan {
            let (next, keys) = self.scan(from, &pattern).await?;
            versions.extend(keys.iter().filter_map(|key| self.keys.version(projection, key)));
            scan = next;
        }
        Ok(versions.into_iter().collect())
    }

    async fn drop_view(&self, projection: ProjectionId) -> Result<(), SinkError> {
        let watermarks: Vec<String> = Lane::all().map(|lane| self.keys.watermark(projection, lane)).collect();
        let mut commands = pipe();
        for watermark in &watermarks {
            commands.cmd("SET").arg(watermark).arg(0).arg("XX").ignore();
        }
        self.ask_all::<()>(&commands).await?;
        let pattern = self.keys.of_view(projection);
        let mut scan = Some(0);
        while let Some(from) = scan {
            let (next, mut keys) = self.scan(from, &pattern).await?;
            keys.retain(|key| !watermarks.contains(key));
            if !keys.is_empty() {
                self.ask::<()>(cmd("UNLINK").arg(keys)).await?;
            }
            scan = next;
        }
        self.ask(cmd("UNLINK").arg(watermarks)).await
    }

    async fn describe(&self) -> Result<Vec<(String, String)>, SinkError> {
        let info = self.info().await?;
        let field = |name| info_field(&info, name).map(str::to_owned);
        let version = match field("valkey_version") {
            Some(version) => format!("Valkey {version}"),
            None => format!("Redis {}", field("redis_version").unwrap_or_default()),
        };
        let log = if field("aof_enabled").as_deref() == Some("1") { "on" } else { "off: a restart may lose the view" };
        let described = [
            ("address", Some(self.shown.clone())),
            ("server", Some(version)),
            ("mode", field("redis_mode").or_else(|| field("server_mode"))),
            ("role", field("role")),
            ("memory used", field("used_memory_human")),
            (
                "memory limit",
                field("maxmemory_human").map(|limit| if limit == "0B" { "none".to_owned() } else { limit }),
            ),
            ("eviction", field("maxmemory_policy")),
            ("append-only file", Some(log.to_owned())),
        ];
        Ok(described.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))).collect())
    }
}

#[async_trait]
impl Counters for RedisCounters {
    async fn hashes(
        &self,
        projection: ProjectionId,
        lane: Lane,
        wanted: &[(&'static str, &str)],
    ) -> Result<Hashes, SinkError> {
        let reads = wanted.iter().map(|(table, key)| {
            let mut read = cmd("HGETALL");
            read.arg(self.keys.hash(projection, lane, table, key));
            read
        });
        let (watermark, hashes) = self.at_watermark(projection, lane, reads).await?;
        Ok(Hashes { watermark, hashes })
    }

    async fn across_lanes(
        &self,
        projection: ProjectionId,
        table: &'static str,
        key: &str,
    ) -> Result<Vec<BTreeMap<String, String>>, SinkError> {
        let mut commands = pipe();
        for lane in Lane::all() {
            commands.hgetall(self.keys.hash(projection, lane, table, key));
        }
        self.ask_all(&commands).await
    }

    async fn show(
        &self,
        name: &'static str,
        watermark: u64,
        fields: &BTreeMap<String, String>,
    ) -> Result<Shown, SinkError> {
        let mut command = cmd("EVAL");
        command.arg(SHOW).arg(2).arg(self.keys.shown(name)).arg(self.keys.shown_at(name)).arg(watermark);
        for (field, value) in fields {
            command.arg(field).arg(value);
        }
        let is_ours: bool = self.ask(&command).await?;
        Ok(if is_ours { Shown::Done } else { Shown::Foreign })
    }
}

fn understood<T: FromRedisValue>(value: ::redis::Value) -> Result<T, SinkError> {
    ::redis::from_redis_value(value).map_err(|error| unavailable(error.to_string()))
}

fn sequence(text: Option<&str>) -> Result<u64, SinkError> {
    match text {
        None => Ok(0),
        Some(text) => text.parse().map_err(|_| unavailable(format!("a watermark is `{text}`, which is no sequence"))),
    }
}
