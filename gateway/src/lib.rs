//! HTTP, server-sent events, and the live fan-out.
