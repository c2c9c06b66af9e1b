//! How many writes are in flight: as many as the server bears, found out by trying.
//!
//! A Prefect server on SQLite refuses parallel writes ("database is locked", as 503), one on PostgreSQL is bound by one
//! processor from two to four on, and Prefect Cloud is far away, so that only parallel requests are quick. So the width
//! starts at one, grows by one after a streak of successes, and halves when the server is overwhelmed. Every halving
//! doubles the streak that the next growth takes, so that a server on SQLite is soon left in peace.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

/// The most writes ever in flight: a single server gains nothing beyond it.
const WIDEST: usize = 4;
/// Successes per request in flight before the first growth.
const PATIENCE: usize = 4;
/// The longest streak per request in flight that growth is made to wait for.
const MOST_PATIENCE: usize = 256;

/// What a request told of the server's state.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Load {
    /// Answered in good order, be it with a refusal.
    Fine,
    /// 429, 503 or no answer in time.
    TooMuch,
    /// Nothing about load: the connection broke, or the request was given up.
    Unknown,
}

/// Lets through as many requests as the server bears.
#[derive(Debug)]
pub(super) struct Limit {
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug)]
struct State {
    width: usize,
    in_flight: usize,
    streak: usize,
    patience: usize,
    /// Counts the halvings: of the requests that were under way together, only the first to fail counts.
    epoch: u64,
}

/// The leave to send one request; gives it back when dropped.
#[derive(Debug)]
pub(super) struct Permit<'a> {
    limit: &'a Limit,
    epoch: u64,
}

impl Default for Limit {
    fn default() -> Self {
        Self {
            state: Mutex::new(State {
                width: 1,
                in_flight: 0,
                streak: 0,
                patience: PATIENCE,
                epoch: 0,
            }),
            changed: Notify::new(),
        }
    }
}

impl Limit {
    /// Waits until one more request may be sent.
    pub(super) async fn enter(&self) -> Permit<'_> {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            // From here on no change is missed, also none between the look and the wait.
            changed.as_mut().enable();
            {
                let mut state = self.state();
                if state.in_flight < state.width {
                    state.in_flight += 1;
                    return Permit {
                        limit: self,
                        epoch: state.epoch,
                    };
                }
            }
            changed.await;
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds the lock, and numbers are never half written.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Permit<'_> {
    /// Gives the leave back with what was learnt.
    pub(super) fn leave(self, load: Load) {
        let mut state = self.limit.state();
        match load {
            Load::Fine => {
                state.streak += 1;
                if state.width < WIDEST && state.streak >= state.patience * state.width {
                    state.width += 1;
                    state.streak = 0;
                }
            }
            Load::TooMuch if self.epoch == state.epoch => {
                state.width = (state.width / 2).max(1);
                state.streak = 0;
                state.patience = (state.patience * 2).min(MOST_PATIENCE);
                state.epoch += 1;
            }
            Load::TooMuch | Load::Unknown => {}
        }
    }
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.limit.state().in_flight -= 1;
        self.limit.changed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    async fn succeed(limit: &Limit, times: usize) {
        for _ in 0..times {
            limit.enter().await.leave(Load::Fine);
        }
    }

    fn width(limit: &Limit) -> usize {
        limit.state().width
    }

    #[tokio::test]
    async fn grows_by_one_after_a_streak_up_to_the_cap() {
        let limit = Limit::default();
        assert_eq!(width(&limit), 1);
        succeed(&limit, PATIENCE).await;
        assert_eq!(width(&limit), 2);
        succeed(&limit, PATIENCE * 2 - 1).await;
        assert_eq!(width(&limit), 2);
        succeed(&limit, 1).await;
        assert_eq!(width(&limit), 3);
        succeed(&limit, 1000).await;
        assert_eq!(width(&limit), WIDEST);
    }

    #[tokio::test]
    async fn halves_once_for_requests_that_fail_together_and_grows_more_slowly_then() {
        let limit = Limit::default();
        succeed(&limit, 1000).await;
        let together = [
            limit.enter().await,
            limit.enter().await,
            limit.enter().await,
        ];
        for permit in together {
            permit.leave(Load::TooMuch);
        }
        assert_eq!(width(&limit), WIDEST / 2);
        for _ in 0..3 {
            limit.enter().await.leave(Load::TooMuch);
        }
        assert_eq!(width(&limit), 1, "never below one");
        succeed(&limit, PATIENCE * 16 - 1).await;
        assert_eq!(width(&limit), 1);
        succeed(&limit, 1).await;
        assert_eq!(width(&limit), 2);
    }

    #[tokio::test]
    async fn holds_back_what_is_beyond_the_width_and_frees_by_dropping() {
        let limit = Limit::default();
        let first = limit.enter().await;
        assert!(limit.enter().now_or_never().is_none());
        // A request that was given up: its permit is dropped without a word.
        let waiting = limit.enter();
        drop(first);
        let second = waiting.await;
        second.leave(Load::Unknown);
        assert_eq!(limit.state().in_flight, 0);
        assert_eq!(width(&limit), 1);
    }
}
