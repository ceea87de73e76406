//! Code made of the published protocols (`gateway/proto`) by the build.

/// Package `cabildo.v1`.
#[expect(unreachable_pub, unused_qualifications, clippy::allow_attributes_without_reason, reason = "the build made it")]
pub(crate) mod v1 {
    tonic::include_proto!("cabildo.v1");
}

/// Package `confproto`, the Band Contest's.
#[expect(unreachable_pub, unused_qualifications, clippy::allow_attributes_without_reason, reason = "the build made it")]
pub(crate) mod confproto {
    tonic::include_proto!("confproto");
}

/// The published protocols, as reflection tells them.
pub(crate) const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
