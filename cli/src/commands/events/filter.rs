//! Which events are wanted.

use cabildo_events::{Actor, Aggregate, EventId, Lane, Position, Recorded};
use cabildo_storage::{Journal, Pages, ReadError};

/// Every part narrows; types are alternatives.
#[derive(clap::Args, Debug, Default)]
pub(crate) struct Filter {
    /// Only events of this type, or of all that begin so (`chat.*`); may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    kinds: Vec<String>,
    /// Only events of this aggregate, for example poll/bands-2026
    #[arg(long, value_name = "AGGREGATE")]
    aggregate: Option<Aggregate>,
    /// Only events caused by this actor
    #[arg(long, value_name = "ACTOR")]
    actor: Option<String>,
    /// Only events of this lane, 0 to 63
    #[arg(long, value_name = "LANE", value_parser = lane)]
    lane: Option<Lane>,
    /// Only events whose data holds this text, without regard to case
    #[arg(long, value_name = "TEXT")]
    text: Option<String>,
    /// Only events that belong to this request or conversation
    #[arg(long, value_name = "ID")]
    correlation: Option<EventId>,
}

fn lane(text: &str) -> Result<Lane, String> {
    text.parse().ok().and_then(Lane::new).ok_or_else(|| format!("`{text}` is no lane: they go from 0 to 63"))
}

impl Filter {
    /// Whether an event is wanted.
    pub(crate) fn matches(&self, event: &Recorded) -> bool {
        let envelope = event.envelope.as_ref().ok();
        let kind = envelope.map_or("cabildo.unreadable", |envelope| &envelope.kind);
        let of_kind = |wanted: &String| match wanted.strip_suffix('*') {
            Some(prefix) => kind.starts_with(prefix),
            None => kind == wanted,
        };
        let actor = envelope.and_then(|envelope| envelope.actor.as_ref()).map(Actor::as_str);
        let correlation = envelope.and_then(|envelope| envelope.correlation);
        (self.kinds.is_empty() || self.kinds.iter().any(of_kind))
            && self.aggregate.as_ref().is_none_or(|aggregate| event.aggregate() == Some(aggregate))
            && self.actor.as_deref().is_none_or(|wanted| actor == Some(wanted))
            && self.lane.is_none_or(|lane| event.lane == lane)
            && self.correlation.is_none_or(|wanted| correlation == Some(wanted))
            && self.text.as_deref().is_none_or(|wanted| holds(event, wanted))
    }

    /// The events of a range, as few of those that are not wanted as the journal can tell.
    pub(crate) async fn read(
        &self,
        journal: &dyn Journal,
        after: Position,
        until: Position,
    ) -> Result<Pages, ReadError> {
        match &self.aggregate {
            Some(aggregate) => journal.of(aggregate, after, until).await,
            None => journal.read(after, until).await,
        }
    }
}

fn holds(event: &Recorded, wanted: &str) -> bool {
    let data = event.envelope.as_ref().map_or_else(|unreadable| &unreadable.data, |envelope| &envelope.data);
    String::from_utf8_lossy(data).to_lowercase().contains(&wanted.to_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use cabildo_events::{Timestamp, wire};

    #[test]
    fn every_part_narrows() {
        let line = r#"{"specversion":"1.0","id":"01989c00-0000-7000-8000-000000000002","type":"poll.ballot.cast","subject":"poll/bands","time":"2026-11-21T10:00:01Z","actor":"ana","correlationid":"01989c00-0000-7000-8000-000000000009","schemaversion":2,"data":{"voter":"ana","choices":["Malacates"]}}"#;
        let (envelope, _) = wire::from_json(line).unwrap();
        let lane = envelope.aggregate.lane();
        let event =
            Recorded { position: Position::at(1), lane, recorded: Timestamp::default(), envelope: Ok(envelope) };
        let check = |filter: Filter, matches: bool| assert_eq!(filter.matches(&event), matches, "{filter:?}");
        check(Filter::default(), true);
        for (kind, matches) in [("poll.*", true), ("poll.ballot.cast", true), ("poll.ballot", false), ("chat.*", false)]
        {
            check(Filter { kinds: vec![kind.to_owned()], ..Filter::default() }, matches);
        }
        check(Filter { text: Some("MALA".to_owned()), ..Filter::default() }, true);
        check(Filter { text: Some("mala suerte".to_owned()), ..Filter::default() }, false);
        check(Filter { lane: Some(lane), ..Filter::default() }, true);
        check(Filter { lane: Lane::all().find(|other| *other != lane), ..Filter::default() }, false);
        let id = |last: u8| format!("01989c00-0000-7000-8000-0000000000{last:02}").parse().ok();
        check(Filter { correlation: id(9), ..Filter::default() }, true);
        check(Filter { correlation: id(2), ..Filter::default() }, false);
        check(Filter { actor: Some("luis".to_owned()), text: Some("mala".to_owned()), ..Filter::default() }, false);
        assert!(super::lane("64").is_err() && super::lane("07").is_ok());
    }
}
