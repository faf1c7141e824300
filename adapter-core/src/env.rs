//! What a node takes from its environment: random numbers, the wall clock, its own name. A
//! simulation replaces the first two.

use std::time::SystemTime;

/// A random number.
pub(crate) fn random_u64() -> u64 {
    #[cfg(feature = "backend-tests")]
    if let Some(number) = given::random_u64() {
        return number;
    }
    rand::random()
}

/// The name of the machine, and of the process.
pub(crate) fn node_name() -> String {
    format!("{}:{}", gethostname::gethostname().to_string_lossy(), std::process::id())
}

/// A random number between a half and one, to spread what nodes do at the same time.
pub(crate) fn jitter() -> f64 {
    // 32 bits are exact in a double.
    let part = (random_u64() >> 32) as f64 / f64::from(u32::MAX);
    0.5 + part / 2.0
}

/// The wall clock of a node, which may jump: it serves reports only, and decides nothing.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    #[cfg(feature = "backend-tests")]
    given: Option<given::WallClock>,
}

impl Clock {
    /// The environment of a node that is being created.
    pub(crate) fn of_node() -> Self {
        Self {
            #[cfg(feature = "backend-tests")]
            given: given::clock(),
        }
    }

    pub(crate) fn now(&self) -> SystemTime {
        #[cfg(feature = "backend-tests")]
        if let Some(clock) = &self.given {
            return clock.now();
        }
        SystemTime::now()
    }
}

#[cfg(feature = "backend-tests")]
pub use given::{Determined, WallClock};

#[cfg(feature = "backend-tests")]
mod given {
    use std::{
        cell::RefCell,
        marker::PhantomData,
        sync::{
            Arc,
            atomic::{AtomicI64, Ordering},
        },
        time::{Duration, SystemTime},
    };

    use rand::{Rng, SeedableRng, rngs::StdRng};
    use tokio::time::Instant;

    thread_local! {
        static GIVEN: RefCell<Option<(StdRng, WallClock)>> = const { RefCell::new(None) };
    }

    /// While it lives, nodes on this thread behave deterministically: random numbers follow from a
    /// seed, and wall clocks from the clock of tokio's runtime.
    ///
    /// Create it within a runtime of one thread whose time is paused; then the same seed gives the
    /// same run.
    #[derive(Debug)]
    #[must_use = "chance is back when it is dropped"]
    pub struct Determined(PhantomData<*const ()>);

    impl Determined {
        /// Takes random numbers from this seed from now on.
        pub fn by(seed: u64) -> Self {
            GIVEN.set(Some((StdRng::seed_from_u64(seed), WallClock::new())));
            Self(PhantomData)
        }

        /// Gives this wall clock to nodes that are connected from now on.
        pub fn next_clock(&self, clock: &WallClock) {
            GIVEN.with_borrow_mut(|given| {
                if let Some((_, given)) = given {
                    *given = clock.clone();
                }
            });
        }
    }

    impl Drop for Determined {
        fn drop(&mut self) {
            GIVEN.set(None);
        }
    }

    /// A wall clock that can be set while tokio's time goes on. Clones are the same clock.
    #[derive(Clone, Debug)]
    pub struct WallClock {
        start: Instant,
        /// How many milliseconds it is ahead, or behind.
        offset: Arc<AtomicI64>,
    }

    impl WallClock {
        /// It is some hundred days after the epoch.
        #[expect(clippy::new_without_default, reason = "it reads the time of the runtime")]
        pub fn new() -> Self {
            Self { start: Instant::now(), offset: Arc::default() }
        }

        /// Sets it this many milliseconds ahead of where it began, or behind.
        pub fn set(&self, milliseconds: i64) {
            self.offset.store(milliseconds, Ordering::Relaxed);
        }

        pub(crate) fn now(&self) -> SystemTime {
            const BEGIN: Duration = Duration::from_secs(365 * 24 * 60 * 60);
            let offset = self.offset.load(Ordering::Relaxed);
            let by = Duration::from_millis(offset.unsigned_abs());
            let time = SystemTime::UNIX_EPOCH + BEGIN + self.start.elapsed();
            let set = if offset < 0 { time.checked_sub(by) } else { time.checked_add(by) };
            set.unwrap_or(SystemTime::UNIX_EPOCH)
        }
    }

    pub(super) fn random_u64() -> Option<u64> {
        GIVEN.with_borrow_mut(|given| given.as_mut().map(|(random, _)| random.next_u64()))
    }

    pub(super) fn clock() -> Option<WallClock> {
        GIVEN.with_borrow(|given| given.as_ref().map(|(_, clock)| clock.clone()))
    }
}
