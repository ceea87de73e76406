//! One file per command.

pub(crate) mod completions;
pub(crate) mod consumer;
pub(crate) mod dashboards;
pub(crate) mod diff;
pub(crate) mod doctor;
pub(crate) mod events;
pub(crate) mod gateway;
pub(crate) mod man;
pub(crate) mod mend;
pub(crate) mod parked;
mod past;
pub(crate) mod pause;
pub(crate) mod produce;
pub(crate) mod projections;
pub(crate) mod replay;
pub(crate) mod roles;
pub(crate) mod rows;
pub(crate) mod show;
mod transports;
pub(crate) mod up;
pub(crate) mod users;
pub(crate) mod verify;
