//! The append side: the batching appender, and the doors that are not HTTP.
