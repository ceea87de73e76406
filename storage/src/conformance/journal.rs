//! What every journal keeps.
