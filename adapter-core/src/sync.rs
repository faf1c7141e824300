//! What the hand-overs between tasks are made of.
//!
//! These are `parking_lot`'s and tokio's. Only in the unit tests with the feature `model` they are
//! those of the model checker, which then runs the same code in every interleaving.

#[cfg(all(test, feature = "model"))]
mod checked;
#[cfg(all(test, feature = "model"))]
pub(crate) use self::checked::{
    AtomicBool, AtomicUsize, Mutex, Notify, RwLock, block_on, explore, oneshot, poll_times,
};

#[cfg(not(all(test, feature = "model")))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(all(test, feature = "model")))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(not(all(test, feature = "model")))]
pub(crate) use tokio::sync::{Notify, oneshot};
