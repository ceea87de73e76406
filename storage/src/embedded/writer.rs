//! A writer thread: what waits while a transaction is committed makes up the next one.

use std::thread::JoinHandle;

use cabildo_events::limits::WRITER_QUEUE_JOBS_MAX;
use tokio::sync::{mpsc, oneshot};

/// A job and where its answer goes.
pub(super) type Job<Q, A> = (Q, oneshot::Sender<A>);

/// The way to a writer thread. Dropping it lets the thread finish what waits, and waits for it.
#[derive(Debug)]
pub(super) struct Writer<Q, A> {
    jobs: Option<mpsc::Sender<Job<Q, A>>>,
    thread: Option<JoinHandle<()>>,
}

impl<Q: Send + 'static, A: Send + 'static> Writer<Q, A> {
    /// Starts the thread. `write` gets all jobs that wait, up to a total weight, and answers each.
    pub(super) fn start(
        name: &str,
        weight_max: usize,
        weigh: impl Fn(&Q) -> usize + Send + 'static,
        mut write: impl FnMut(Vec<Job<Q, A>>) + Send + 'static,
    ) -> std::io::Result<Self> {
        let (sender, mut receiver) = mpsc::channel::<Job<Q, A>>(WRITER_QUEUE_JOBS_MAX);
        let thread = std::thread::Builder::new().name(format!("cabildo-{name}")).spawn(move || {
            while let Some(first) = receiver.blocking_recv() {
                let mut weight = weigh(&first.0);
                let mut jobs = vec![first];
                while weight < weight_max
                    && let Ok(job) = receiver.try_recv()
                {
                    weight += weigh(&job.0);
                    jobs.push(job);
                }
                write(jobs);
            }
        })?;
        Ok(Self { jobs: Some(sender), thread: Some(thread) })
    }

    /// Hands in a job and waits for its answer; `None` if the thread is gone.
    pub(super) async fn run(&self, job: Q) -> Option<A> {
        let (sender, receiver) = oneshot::channel();
        self.jobs.as_ref()?.send((job, sender)).await.ok()?;
        receiver.await.ok()
    }
}

impl<Q, A> Drop for Writer<Q, A> {
    fn drop(&mut self) {
        drop(self.jobs.take());
        if let Some(thread) = self.thread.take() {
            // A thread that panicked has been reported by the panic hook.
            let _ = thread.join();
        }
    }
}

/// Answers every caller of a transaction: each with its own outcome, or all with why it failed.
pub(super) fn answer<A>(callers: Vec<oneshot::Sender<Result<A, String>>>, outcome: rusqlite::Result<Vec<A>>) {
    match outcome {
        Ok(answers) => {
            for (caller, answer) in callers.into_iter().zip(answers) {
                // A caller that is gone has no use for its answer.
                let _ = caller.send(Ok(answer));
            }
        }
        Err(error) => {
            for caller in callers {
                let _ = caller.send(Err(error.to_string()));
            }
        }
    }
}
