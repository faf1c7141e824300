//! What a node draws or reads besides its inputs: random numbers and the wall clock. A simulation gives both.

use std::time::SystemTime;

/// A random number.
pub(crate) fn number() -> u64 {
    #[cfg(feature = "backend-tests")]
    if let Some(number) = given::number() {
        return number;
    }
    rand::random()
}

/// A random part of the whole, between half and all of it.
pub(crate) fn half_to_whole() -> f64 {
    // 32 bits are exact in a double.
    let part = (number() >> 32) as f64 / f64::from(u32::MAX);
    0.5 + part / 2.0
}

/// The wall clock.
pub(crate) fn now() -> SystemTime {
    #[cfg(feature = "backend-tests")]
    if let Some(now) = given::now() {
        return now;
    }
    SystemTime::now()
}

#[cfg(feature = "backend-tests")]
pub use given::Determined;

#[cfg(feature = "backend-tests")]
mod given {
    use std::{cell::RefCell, marker::PhantomData, time::SystemTime};

    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::time::Instant;

    thread_local! {
        static GIVEN: RefCell<Option<(StdRng, Instant)>> = const { RefCell::new(None) };
    }

    /// While it lives, nothing of the nodes on this thread is left to chance: random numbers follow from a seed, and the
    /// wall clock is that of tokio's runtime, which began with the Unix epoch.
    ///
    /// To be made within a runtime of one thread whose time is paused; then the same seed gives the same run.
    #[derive(Debug)]
    #[must_use = "chance is back when it is dropped"]
    pub struct Determined(PhantomData<*const ()>);

    impl Determined {
        /// Random numbers follow from this seed from now on.
        pub fn by(seed: u64) -> Self {
            GIVEN.set(Some((StdRng::seed_from_u64(seed), Instant::now())));
            Self(PhantomData)
        }
    }

    impl Drop for Determined {
        fn drop(&mut self) {
            GIVEN.set(None);
        }
    }

    pub(super) fn number() -> Option<u64> {
        GIVEN.with_borrow_mut(|given| given.as_mut().map(|(random, _)| random.next_u64()))
    }

    pub(super) fn now() -> Option<SystemTime> {
        GIVEN.with_borrow(|given| given.as_ref().map(|(_, start)| SystemTime::UNIX_EPOCH + start.elapsed()))
    }
}
