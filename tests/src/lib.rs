//! Test nodes.
