//! What every place for documents keeps.
