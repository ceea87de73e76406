//! Everything that was asked for, line by line: NDJSON or CSV.
//!
//! *CSV* is RFC 4180 with a head: `position, time, type, aggregate, actor, lane, id, correlationid, causationid, schemaversion,
//! recordedtime, data`, the last one as JSON. A value that a spreadsheet would take for a formula (one that begins with `=`, `+`,
//! `-`, `@`, a tab or a carriage return) has a `'` before it.

use std::sync::Arc;

use bytes::Bytes;
use cabildo_events::Position;
use cabildo_events::limits::PAGE_ROWS_MAX;
use cabildo_storage::{Order, SinkError};
use futures::StreamExt;
use http::{HeaderValue, header};
use serde_json::Value;
use warp::reply::Response;

use crate::problem::Problem;
use crate::search::{Asked, Row, horizon, page, pages_of_view};
use crate::{Gateway, answer, sse};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// One JSON document.
    Json,
    /// One event a line.
    Ndjson,
    /// One event a row.
    Csv,
}

impl Format {
    pub(super) const ALL: [Self; 3] = [Self::Json, Self::Ndjson, Self::Csv];

    pub(super) const fn media(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Ndjson => "application/x-ndjson",
            Self::Csv => "text/csv",
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::Json => "json",
            Self::Ndjson => "ndjson",
            Self::Csv => "csv",
        }
    }
}

impl std::str::FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::ALL.into_iter().find(|format| format.name() == text);
        known.ok_or_else(|| format!("`{text}` is no format: {}", Self::ALL.map(Self::name).join(", ")))
    }
}

/// Asks browsers to keep the answer as a file.
pub(super) fn name(response: &mut Response, format: Format) {
    let value = format!("attachment; filename=\"cabildo-events.{}\"", format.name());
    if let Ok(value) = HeaderValue::from_str(&value) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, value);
    }
}

/// These events.
pub(super) fn some(format: Format, rows: &[Row]) -> Response {
    let mut text = head(format);
    text.push_str(&lines(format, rows));
    typed(answer::raw_json(text), format)
}

fn typed(mut response: Response, format: Format) -> Response {
    let media = if format == Format::Csv { "text/csv; charset=utf-8; header=present" } else { format.media() };
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media));
    response
}

/// Everything that matches, page after page, as fast as the client takes it. If a page fails on the way the answer is broken
/// off, so that half of it is not taken for all.
pub(super) async fn everything(
    gateway: &Arc<Gateway>,
    asked: Asked,
    order: Order,
    format: Format,
) -> Result<Response, Problem> {
    // Up to where everything is there when it begins, so that nothing is stepped over.
    let ports = &gateway.ports;
    let sure = if asked.needs_view() { horizon(ports).await? } else { ports.journal.head().await? };
    let end = Position { seq: sure.seq + 1, ..sure };
    let asked = Asked { before: Some(asked.before.map_or(end, |wanted| wanted.min(end))), ..asked };
    let opening = futures::stream::iter([Ok(Bytes::from(head(format)))]);
    let pages = futures::stream::unfold(Some((asked, gateway.clone())), move |state| async move {
        let (asked, gateway) = state?;
        let found = if asked.needs_view() {
            pages_of_view(&gateway, &asked, order, PAGE_ROWS_MAX).await
        } else {
            page(&gateway, &asked, order, PAGE_ROWS_MAX).await
        };
        let found = match found {
            // A filter expression goes on from where it got to.
            Ok(found) if !found.cut_short || found.filter.is_some() => found,
            Ok(_) => return Some((Err(broken("the search took too long: narrow it")), None)),
            Err(_) => return Some((Err(broken("the events cannot be read")), None)),
        };
        let next = found.next.map(|next| match order {
            Order::Oldest => (Asked { after: Some(next), ..asked }, gateway),
            Order::Newest => (Asked { before: Some(next), ..asked }, gateway),
        });
        Some((Ok(Bytes::from(lines(format, &found.rows))), next))
    });
    Ok(typed(sse::stream_body(opening.chain(pages).boxed()), format))
}

fn broken(reason: &str) -> SinkError {
    SinkError::Unavailable { sink: "the record", reason: reason.to_owned() }
}

const COLUMNS: [(&str, &str); 12] = [
    ("position", "position"),
    ("time", "time"),
    ("type", "type"),
    ("aggregate", "subject"),
    ("actor", "actor"),
    ("lane", "lane"),
    ("id", "id"),
    ("correlationid", "correlationid"),
    ("causationid", "causationid"),
    ("schemaversion", "schemaversion"),
    ("recordedtime", "recordedtime"),
    ("data", "data"),
];

fn head(format: Format) -> String {
    match format {
        Format::Csv => COLUMNS.map(|(name, _)| name).join(",") + "\r\n",
        Format::Json | Format::Ndjson => String::new(),
    }
}

fn lines(format: Format, rows: &[Row]) -> String {
    let mut text = String::with_capacity(rows.iter().map(|row| row.json.len() + 1).sum());
    for row in rows {
        match format {
            Format::Csv => csv(&row.json, &mut text),
            Format::Json | Format::Ndjson => {
                text.push_str(&row.json);
                text.push('\n');
            }
        }
    }
    text
}

fn csv(json: &str, text: &mut String) {
    let event: Value = serde_json::from_str(json).unwrap_or_default();
    for (number, (_, attribute)) in COLUMNS.iter().enumerate() {
        if number > 0 {
            text.push(',');
        }
        match event.get(*attribute) {
            None | Some(Value::Null) => {}
            Some(Value::String(value)) => cell(value, text),
            Some(value) => cell(&value.to_string(), text),
        }
    }
    text.push_str("\r\n");
}

/// A cell, quoted where it must be.
fn cell(value: &str, text: &mut String) {
    let formula = value.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let quoted = formula || value.contains([',', '"', '\r', '\n']);
    if quoted {
        text.push('"');
    }
    if formula {
        text.push('\'');
    }
    text.push_str(&value.replace('"', "\"\""));
    if quoted {
        text.push('"');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_has_its_columns_and_nothing_in_it_is_a_formula() {
        let json = r#"{"position":"0-7","type":"chat.message.posted","subject":"chat/a,b","actor":"=cmd()","lane":3,"data":{"text":"say \"hi\"\nagain"}}"#;
        let row = Row { position: Position::at(7), json: json.to_owned() };
        let expected = concat!(
            r#"0-7,,chat.message.posted,"chat/a,b","'=cmd()",3,,,,,,"{""text"":""say \""hi\""\nagain""}""#,
            "\r\n"
        );
        assert_eq!(lines(Format::Csv, &[row]), expected);
        assert!(head(Format::Csv).starts_with("position,time,type,aggregate,"));
        for formula in ["+1", "-1", "@x", "\tx"] {
            let mut text = String::new();
            cell(formula, &mut text);
            assert_eq!(text, format!("\"'{formula}\""));
        }
    }

    #[test]
    fn a_format_has_a_name() {
        assert_eq!("csv".parse(), Ok(Format::Csv));
        assert!("xls".parse::<Format>().unwrap_err().contains("json, ndjson, csv"));
    }
}
