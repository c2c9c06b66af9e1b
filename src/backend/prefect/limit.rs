//! How many writes are in flight: as many as the server bears, found out by trying.
//!
//! A Prefect server on SQLite refuses parallel writes ("database is locked", as 503) or is slowed down by them, one on
//! PostgreSQL is bound by one processor from two to four on, and Prefect Cloud is far away, so that only parallel
//! requests are quick. So the width starts at one. After a streak of successes one more is tried for the length of
//! another streak, and stays if it made writing faster. When the server is overwhelmed the width halves. Each time that
//! wider turned out to be no better, the wait before the next try grows.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::sync::Notify;

/// The most writes ever in flight: a single server gains nothing beyond it.
const WIDEST: usize = 4;
/// Successes per request in flight that make a streak: enough for its speed to mean something.
const STREAK: usize = 8;
/// How many times longer the wait for the next try is after one that was of no use.
const DISCOURAGED: usize = 4;
/// The longest wait, in streaks.
const LONGEST: usize = 64;
/// How much faster a wider way has to be to be kept.
const GAIN: f64 = 1.1;

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
    /// Successes since `since`.
    streak: usize,
    since: Option<Instant>,
    /// Streaks to wait for before a wider way is tried.
    wait: usize,
    /// While a width is on trial: the writes per second that were reached with one less.
    narrower: Option<f64>,
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
                since: None,
                wait: 1,
                narrower: None,
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
                    state.since.get_or_insert_with(Instant::now);
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
            Load::Fine => state.succeed(Instant::now()),
            Load::TooMuch if self.epoch == state.epoch => {
                let width = (state.width / 2).max(1);
                state.go_on(width, None);
                // Errors weigh twice: each costs a request and a pause, and SQLite gives one at every try.
                state.discourage();
                state.discourage();
                state.epoch += 1;
            }
            Load::TooMuch | Load::Unknown => {}
        }
    }
}

impl State {
    fn succeed(&mut self, now: Instant) {
        self.streak += 1;
        let streaks = if self.narrower.is_some() {
            1
        } else {
            self.wait
        };
        if self.streak < STREAK * self.width * streaks {
            return;
        }
        let elapsed = self.since.map_or(0.0, |since| (now - since).as_secs_f64());
        let rate = self.streak as f64 / elapsed.max(f64::EPSILON);
        match self.narrower {
            Some(narrower) if rate < narrower * GAIN => {
                self.go_on(self.width - 1, None);
                self.discourage();
            }
            _ if self.width < WIDEST => self.go_on(self.width + 1, Some(rate)),
            _ => self.go_on(self.width, None),
        }
    }

    /// Begins a new streak.
    fn go_on(&mut self, width: usize, narrower: Option<f64>) {
        self.width = width;
        self.narrower = narrower;
        self.streak = 0;
        self.since = None;
    }

    fn discourage(&mut self) {
        self.wait = (self.wait * DISCOURAGED).min(LONGEST);
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
    use std::time::Duration;

    use futures::FutureExt;

    use super::*;

    /// So many successes, each `gap` milliseconds after the one before.
    fn succeed(limit: &Limit, times: usize, gap: u64) {
        let mut state = limit.state();
        for _ in 0..times {
            let start = *state.since.get_or_insert_with(Instant::now);
            let now = start + Duration::from_millis(gap * (state.streak as u64 + 1));
            state.succeed(now);
        }
    }

    fn width(limit: &Limit) -> usize {
        limit.state().width
    }

    #[test]
    fn grows_while_wider_is_faster() {
        let limit = Limit::default();
        assert_eq!(width(&limit), 1);
        succeed(&limit, STREAK - 1, 100);
        assert_eq!(width(&limit), 1);
        succeed(&limit, 1, 100);
        assert_eq!(width(&limit), 2);
        succeed(&limit, STREAK * 2, 50);
        assert_eq!(width(&limit), 3);
        succeed(&limit, STREAK * 3, 33);
        assert_eq!(width(&limit), WIDEST);
        succeed(&limit, 1000, 25);
        assert_eq!(width(&limit), WIDEST);
    }

    #[test]
    fn goes_back_where_wider_is_no_faster_and_tries_again_later() {
        let limit = Limit::default();
        succeed(&limit, STREAK, 30);
        succeed(&limit, STREAK * 2, 30);
        assert_eq!(width(&limit), 1);
        succeed(&limit, STREAK * DISCOURAGED - 1, 30);
        assert_eq!(width(&limit), 1);
        succeed(&limit, 1, 30);
        assert_eq!(width(&limit), 2);
    }

    #[tokio::test]
    async fn halves_once_for_requests_that_fail_together() {
        let limit = Limit::default();
        limit.state().width = WIDEST;
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
        succeed(&limit, STREAK * LONGEST - 1, 30);
        assert_eq!(width(&limit), 1);
        succeed(&limit, 1, 30);
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
