//! Futures that are cancelled: polled a number of times, and dropped.

use std::{
    future::{Future, poll_fn},
    pin::Pin,
    task::Poll,
};

/// More polls than any future under test needs.
const MAX_POLLS: usize = 2_000;

/// Polls a future up to this many times, each time when it was woken. Returns its output; `None`
/// when it has not ended by then. The caller drops the future, and may do something before that.
pub async fn poll_times<F: Future + ?Sized>(mut future: Pin<&mut F>, times: usize) -> Option<F::Output> {
    let mut left = times;
    poll_fn(move |context| {
        if left == 0 {
            return Poll::Ready(None);
        }
        left -= 1;
        match future.as_mut().poll(context) {
            Poll::Ready(output) => Poll::Ready(Some(output)),
            // Not woken again, because this was the last time.
            Poll::Pending if left == 0 => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }
    })
    .await
}

/// Runs rounds with 0, 1, 2, … polls, until a round reports that its future completed. Returns how
/// many polls that took.
pub async fn sweep(mut round: impl AsyncFnMut(usize) -> bool) -> usize {
    for polls in 0..MAX_POLLS {
        if round(polls).await {
            return polls;
        }
    }
    panic!("it is not over after {MAX_POLLS} polls");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_sweep_gives_up_before_each_poll_and_ends_with_the_one_that_completes() {
        let mut given_up_at = Vec::new();
        let polls = sweep(async |polls| {
            let mut step = 0;
            let is_over = {
                let mut work = Box::pin(async {
                    for _ in 0..3 {
                        step += 1;
                        tokio::task::yield_now().await;
                    }
                });
                poll_times(work.as_mut(), polls).await.is_some()
            };
            given_up_at.push(step);
            is_over
        });
        assert_eq!(polls.await, 4);
        assert_eq!(given_up_at, [0, 1, 2, 3, 3]);
    }
}
