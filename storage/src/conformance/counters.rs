//! What every place for counters keeps.
