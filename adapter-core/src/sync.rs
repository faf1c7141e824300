//! Locks, channels and notifications between tasks, replaceable by a model checker.
//!
//! They are `parking_lot`'s and tokio's. In the unit tests with the feature `model` they are the
//! model checker's, which runs the same code in every interleaving.

#[cfg(all(test, feature = "model"))]
mod checked;
#[cfg(all(test, feature = "model"))]
pub(crate) use self::checked::{
    AtomicBool, AtomicUsize, Mutex, Notify, RwLock, block_on, explore, moment, oneshot, poll_times,
};

#[cfg(not(all(test, feature = "model")))]
pub(crate) use parking_lot::{Mutex, RwLock};
#[cfg(not(all(test, feature = "model")))]
pub(crate) use std::sync::atomic::{AtomicBool, AtomicUsize};
#[cfg(not(all(test, feature = "model")))]
pub(crate) use tokio::sync::{Notify, oneshot};
