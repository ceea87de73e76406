//! `make bench`: one table. Each row is a rate or a latency of Cabildo beside a named baseline, measured in the same run on the
//! same machine; the ratio is what is claimed, never the figure alone.
//!
//! `cargo bench --bench table -- WORD…` runs only the rows whose name has one of the words; with `--small`, those that know how
//! to run with a hundredth of their events, to see that they run.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a benchmark that cannot go on stops, and prints what it measured"
)]

mod append;
mod apply;
mod ballots;
mod beside;
mod lookback;
mod mixed;
mod replay;
mod search;
#[path = "../it/servers/mod.rs"]
#[expect(dead_code, unused_imports, reason = "the tests also stop, hold and group the servers")]
mod servers;
mod table;
mod transports;
mod visible;

use table::Table;

fn main() {
    // As the binary does; fails only if there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let wanted: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    let mut table = Table::new(wanted, std::env::args().any(|argument| argument == "--small"));
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        append::embedded(&mut table).await;
        append::jetstream(&mut table).await;
        apply::redis(&mut table).await;
        apply::mongo(&mut table).await;
        replay::embedded(&mut table).await;
        beside::alone(&mut table).await;
        beside::live(&mut table).await;
        lookback::latency(&mut table).await;
        visible::latency(&mut table).await;
        search::answers(&mut table).await;
        transports::ways(&mut table).await;
    });
    table.print();
}
