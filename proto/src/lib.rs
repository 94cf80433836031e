//! What goes over the wire: the `.proto` files of this folder, compiled.
//!
//! Plain data and generated stubs; nothing here converts, checks or decides. The crates that speak a
//! protocol translate at their border, so these types appear nowhere else.

#![expect(
    clippy::enum_variant_names,
    reason = "names of the protocols, not ours to choose"
)]

/// The project's own services and messages.
pub mod hushlog {
    /// Version 1 of the interface for producers and readers.
    pub mod v1 {
        tonic::include_proto!("hushlog.v1");
    }
    /// What nodes say to each other.
    pub mod internal {
        /// Version 1.
        pub mod v1 {
            tonic::include_proto!("hushlog.internal.v1");
        }
    }
}

/// The part of the OpenTelemetry protocol that concerns logs.
pub mod opentelemetry {
    /// The protocol's own name space.
    pub mod proto {
        /// Values and attributes.
        pub mod common {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.common.v1");
            }
        }
        /// Who produced the records.
        pub mod resource {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.resource.v1");
            }
        }
        /// The records.
        pub mod logs {
            /// Version 1.
            pub mod v1 {
                tonic::include_proto!("opentelemetry.proto.logs.v1");
            }
        }
        /// The service that takes them.
        pub mod collector {
            /// Logs.
            pub mod logs {
                /// Version 1.
                pub mod v1 {
                    tonic::include_proto!("opentelemetry.proto.collector.logs.v1");
                }
            }
        }
    }
}

/// The descriptors of every file, for server reflection: an encoded `FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));
