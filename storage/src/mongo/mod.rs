//! Documents on MongoDB.

use std::sync::Arc;

use crate::{Documents, OpenError};

/// Connects to MongoDB.
pub(crate) async fn connect(url: &str) -> Result<Arc<dyn Documents>, OpenError> {
    Err(OpenError::Unavailable { what: url.to_owned(), reason: "not built yet".to_owned() })
}
