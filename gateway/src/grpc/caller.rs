//! Who calls. The edge of the calls has looked at their token, and whether they may call this.

use cabildo_storage::Caller;
use tonic::Extensions;

/// Who calls; nobody in particular where nobody was asked.
pub(super) fn caller(extensions: &Extensions) -> Caller {
    extensions.get::<Caller>().cloned().unwrap_or_default()
}
