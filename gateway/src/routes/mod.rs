//! The operations, by area.

mod around;
mod events;
mod export;
mod facets;
mod graph;
mod hits;
mod lists;
pub(crate) mod messages;
pub(crate) mod operation;
mod people;
pub(crate) mod polls;
mod pulse;
mod rooms;
mod state;
mod tail;
mod tasks;

use std::convert::Infallible;
use std::sync::Arc;

use warp::Filter;
use warp::filters::BoxedFilter;
use warp::reply::Response;

use crate::Gateway;
use crate::edge::recover;
use crate::predecessors::band_contest;

/// The routes of one area. Boxed: warp's types grow with every route, and so does the time to compile them.
pub(crate) type Routes = BoxedFilter<(Response,)>;

/// All operations; whatever they do not take becomes a problem for the edge to write.
pub(crate) fn all(
    gateway: &Arc<Gateway>,
) -> impl Filter<Extract = (Response,), Error = Infallible> + Clone + Send + Sync + 'static {
    let chat = rooms::routes(gateway).or(messages::routes(gateway)).unify().boxed();
    let found = tail::routes(gateway).or(events::routes(gateway)).unify();
    let record = hits::routes(gateway).or(facets::routes(gateway)).unify().or(found).unify().boxed();
    let record = record.or(state::routes(gateway)).unify().boxed();
    let operation = operation::routes(gateway).or(pulse::routes(gateway)).unify().boxed();
    let operation = people::routes(gateway).or(operation).unify().boxed();
    let lists = lists::routes(gateway).or(tasks::routes(gateway)).unify().boxed();
    let chat = chat.or(lists).unify().boxed();
    let predecessors = band_contest::routes(gateway);
    let now = polls::routes(gateway).or(chat).unify().or(record).unify().boxed();
    now.or(predecessors).unify().or(operation).unify().recover(recover).unify()
}
