//! The client's side of the published gRPC protocol (`gateway/proto`), made by the build.

/// Package `cabildo.v1`.
#[expect(missing_docs, unused_qualifications, clippy::allow_attributes_without_reason, reason = "the build made it")]
pub mod v1 {
    tonic::include_proto!("cabildo.v1");
}
