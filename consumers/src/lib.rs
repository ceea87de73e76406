//! The read side: lanes, worker pool, retry, parking, lag.
