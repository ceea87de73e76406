//! Reading a range of events.

use cabildo_events::{Aggregate, Position};
use futures::StreamExt;
use futures::stream;

use super::JetStream;
use super::convert::recorded;
use super::link::Link;
use super::lookup::{head, last_of, unavailable};
use super::pull::{Delivered, Pull};
use crate::{Page, Pages, ReadError};

/// Every subject of the stream of events.
pub(super) const ALL: &str = "ev.>";

pub(super) async fn read(link: Link, stream: String, after: Position, until: Position) -> Result<Pages, ReadError> {
    let handle = link.context.get_stream_no_info(&stream).await.map_err(unavailable)?;
    // What comes after the head is not waited for.
    let until = until.seq.min(head(&handle).await?);
    if until <= after.seq {
        return Ok(stream::empty().boxed());
    }
    Ok(pages(Pull::begin(link, &stream, &[ALL], after.seq, until).await?))
}

/// Every event of an aggregate in a range: both its subjects, in the stream's order.
pub(super) async fn of(
    journal: &JetStream,
    aggregate: &Aggregate,
    after: Position,
    until: Position,
) -> Result<Pages, ReadError> {
    let (ruled, free) = (aggregate.ruled_subject(), aggregate.free_subject());
    let (last_ruled, last_free) =
        futures::try_join!(last_of(&journal.stream, &ruled), last_of(&journal.stream, &free))?;
    // What comes after its last event is not waited for.
    let until = until.seq.min(last_ruled.max(last_free));
    if until <= after.seq {
        return Ok(stream::empty().boxed());
    }
    Ok(pages(Pull::begin(journal.reads.clone(), &journal.name, &[&ruled, &free], after.seq, until).await?))
}

fn pages(pull: Pull) -> Pages {
    stream::unfold(Some(pull), |pull| async {
        let mut pull = pull?;
        match pull.next().await {
            Ok(delivered) if delivered.is_empty() => None,
            Ok(delivered) => Some((Ok(page_of(delivered)), Some(pull))),
            Err(error) => Some((Err(error), None)),
        }
    })
    .boxed()
}

/// Reads what was delivered as events.
pub(super) fn page_of(delivered: Vec<Delivered>) -> Page {
    delivered
        .into_iter()
        .map(|Delivered { seq, time, message }| {
            recorded(seq, time, &message.subject, message.headers.as_ref(), message.payload)
        })
        .collect()
}
