//! The same types on top of `loom`, which decides at each of their operations which task continues.
//! They behave as tokio's documentation says.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll, Wake, Waker},
};

pub(crate) use loom::sync::atomic::{AtomicBool, AtomicUsize};
use loom::sync::{Condvar, MutexGuard, RwLockReadGuard, RwLockWriteGuard};

/// Runs a case in every interleaving in which a task is interrupted at most this many times;
/// `None`: in every interleaving.
pub(crate) fn explore(preemptions: Option<usize>, case: impl Fn() + Send + Sync + 'static) {
    // Time-outs need a runtime. They never expire, and all that loom runs is on this thread.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let mut model = loom::model::Builder::new();
    model.preemption_bound = preemptions;
    model.check(case);
}

#[derive(Default)]
pub(crate) struct Mutex<T>(loom::sync::Mutex<T>);

impl<T> Mutex<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::Mutex::new(value))
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().expect("no panic under a lock")
    }
}

pub(crate) struct RwLock<T>(loom::sync::RwLock<T>);

impl<T> RwLock<T> {
    pub(crate) fn new(value: T) -> Self {
        Self(loom::sync::RwLock::new(value))
    }

    pub(crate) fn read(&self) -> RwLockReadGuard<'_, T> {
        self.0.read().expect("no panic under a lock")
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, T> {
        self.0.write().expect("no panic under a lock")
    }
}

/// Takes a moment, in which other tasks may run.
pub(crate) async fn moment() {
    let mut is_over = false;
    poll_fn(|context: &mut Context<'_>| {
        if std::mem::replace(&mut is_over, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

/// Drives a future. When it can never be woken, the checker reports a deadlock.
pub(crate) fn block_on<F: Future>(future: F) -> F::Output {
    let (mut future, parker) = (pin!(future), Arc::new(Parker::default()));
    let waker = Waker::from(parker.clone());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        parker.park();
    }
}

/// Polls a future this many times, each time once it is woken, then drops it at any moment after
/// the last poll.
pub(crate) fn poll_times<F: Future>(times: usize, future: F) -> Option<F::Output> {
    let (mut future, parker) = (Box::pin(future), Arc::new(Parker::default()));
    let waker = Waker::from(parker.clone());
    for left in (0..times).rev() {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return Some(output);
        }
        if left > 0 {
            parker.park();
        }
    }
    None
}

#[derive(Default)]
struct Parker {
    is_woken: Mutex<bool>,
    woken: Condvar,
}

impl Parker {
    fn park(&self) {
        let mut is_woken = self.is_woken.lock();
        while !*is_woken {
            is_woken = self.woken.wait(is_woken).expect("no panic under a lock");
        }
        *is_woken = false;
    }
}

impl Wake for Parker {
    fn wake(self: Arc<Self>) {
        *self.is_woken.lock() = true;
        self.woken.notify_one();
    }
}

/// As `tokio::sync::Notify`.
#[derive(Default)]
pub(crate) struct Notify(Mutex<Waiters>);

#[derive(Default)]
struct Waiters {
    has_permit: bool,
    /// How often all waiters were notified.
    rounds: usize,
    next: usize,
    waiting: Vec<(usize, Option<Waker>)>,
    /// The waiters that were notified one by one, and have not noticed yet.
    notified: Vec<usize>,
}

impl Notify {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    pub(crate) fn notify_one(&self) {
        let mut waiters = self.0.lock();
        if waiters.waiting.is_empty() {
            waiters.has_permit = true;
            return;
        }
        let (waiter, waker) = waiters.waiting.remove(0);
        waiters.notified.push(waiter);
        drop(waiters);
        waker.into_iter().for_each(Waker::wake);
    }

    pub(crate) fn notify_waiters(&self) {
        let mut waiters = self.0.lock();
        waiters.rounds += 1;
        let all = std::mem::take(&mut waiters.waiting);
        drop(waiters);
        all.into_iter().filter_map(|(_, waker)| waker).for_each(Waker::wake);
    }

    pub(crate) fn notified(&self) -> Notified<'_> {
        Notified { rounds: self.0.lock().rounds, notify: self, waiter: None }
    }
}

pub(crate) struct Notified<'a> {
    notify: &'a Notify,
    rounds: usize,
    waiter: Option<usize>,
}

impl Notified<'_> {
    pub(crate) fn enable(mut self: Pin<&mut Self>) -> bool {
        self.look(None)
    }

    fn look(&mut self, waker: Option<&Waker>) -> bool {
        let mut waiters = self.notify.0.lock();
        let was_notified = self.waiter.is_some_and(|me| waiters.notified.contains(&me));
        if was_notified {
            waiters.notified.retain(|&it| Some(it) != self.waiter);
        }
        if was_notified || self.rounds != waiters.rounds {
            self.waiter = None;
            return true;
        }
        match self.waiter {
            None if waiters.has_permit => {
                waiters.has_permit = false;
                return true;
            }
            None => {
                let me = waiters.next;
                waiters.next += 1;
                waiters.waiting.push((me, waker.cloned()));
                self.waiter = Some(me);
            }
            Some(me) => {
                waiters.waiting.iter_mut().filter(|(it, _)| *it == me).for_each(|(_, it)| *it = waker.cloned());
            }
        }
        false
    }
}

impl Future for Notified<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.look(Some(context.waker())) { Poll::Ready(()) } else { Poll::Pending }
    }
}

impl Drop for Notified<'_> {
    fn drop(&mut self) {
        let Some(me) = self.waiter else { return };
        let mut waiters = self.notify.0.lock();
        waiters.waiting.retain(|(it, _)| *it != me);
        let was_notified = waiters.notified.contains(&me);
        waiters.notified.retain(|it| *it != me);
        drop(waiters);
        if was_notified {
            self.notify.notify_one();
        }
    }
}

/// As `tokio::sync::oneshot`.
pub(crate) mod oneshot {
    use super::{Arc, Context, Future, Mutex, Pin, Poll, Waker};

    struct Shared<T> {
        value: Option<T>,
        is_gone: bool,
        receiver: Option<Waker>,
    }

    pub(crate) struct Sender<T>(Arc<Mutex<Shared<T>>>);
    pub(crate) struct Receiver<T>(Arc<Mutex<Shared<T>>>);

    pub(crate) fn channel<T>() -> (Sender<T>, Receiver<T>) {
        let shared = Arc::new(Mutex::new(Shared { value: None, is_gone: false, receiver: None }));
        (Sender(shared.clone()), Receiver(shared))
    }

    impl<T> std::fmt::Debug for Sender<T> {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("Sender")
        }
    }

    impl<T> Sender<T> {
        /// Unlike tokio's, it never returns the value: no caller here needs it.
        pub(crate) fn send(self, value: T) -> Result<(), T> {
            self.0.lock().value = Some(value);
            Ok(())
        }
    }

    impl<T> Drop for Sender<T> {
        fn drop(&mut self) {
            let mut shared = self.0.lock();
            shared.is_gone = true;
            let receiver = shared.receiver.take();
            drop(shared);
            receiver.into_iter().for_each(Waker::wake);
        }
    }

    impl<T> Future for Receiver<T> {
        type Output = Result<T, ()>;

        fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
            let mut shared = self.0.lock();
            if let Some(value) = shared.value.take() {
                return Poll::Ready(Ok(value));
            }
            if shared.is_gone {
                return Poll::Ready(Err(()));
            }
            shared.receiver = Some(context.waker().clone());
            Poll::Pending
        }
    }
}
