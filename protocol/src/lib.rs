//! The inter-node protocol.
