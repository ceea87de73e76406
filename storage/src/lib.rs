//! The ports (journal, counters, documents) and their adapters: the only crate that names a database or a broker.
