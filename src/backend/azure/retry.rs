//! Repeating what is worth it.

use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use async_trait::async_trait;
use azure_core::error::ErrorKind;
use azure_core::http::headers::{HeaderName, Headers};
use azure_core::http::policies::{Policy, PolicyResult};
use azure_core::http::{Context, Request, StatusCode};

/// A request is sent at most this many times.
const TRIES: u32 = 6;

/// Takes the place of the SDK's own retry, which also insists for a minute and a half on a refused connection.
///
/// 408, 429 and 500 to 504 without 501 are repeated after what `Retry-After` says, or after a growing pause that starts
/// at a quarter of a second; so are broken connections. Every request that we send may be repeated: writes carry a
/// condition, so that a repetition of one that landed is refused.
#[derive(Debug)]
pub(super) struct Retry {
    /// For how long a connection that cannot be made is tried again.
    pub(super) connect: Duration,
    /// For how long everything else is.
    pub(super) other: Duration,
}

impl Default for Retry {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            other: Duration::from_secs(60),
        }
    }
}

#[async_trait]
impl Policy for Retry {
    async fn send(
        &self,
        ctx: &Context,
        request: &mut Request,
        next: &[Arc<dyn Policy>],
    ) -> PolicyResult {
        let started = Instant::now();
        let mut tries = 0;
        loop {
            let result = next[0].send(ctx, request, &next[1..]).await;
            tries += 1;
            let (limit, asked) = match &result {
                Ok(response) if is_passing(response.status()) => {
                    (self.other, retry_after(response.headers()))
                }
                Err(error) if matches!(error.kind(), ErrorKind::Connection) => (self.connect, None),
                Err(error) if matches!(error.kind(), ErrorKind::Io) => (self.other, None),
                _ => return result,
            };
            let pause = asked.unwrap_or_default().max(pause(tries));
            if tries == TRIES || started.elapsed() + pause > limit {
                return result;
            }
            tracing::debug!(tries, ?pause, "repeating a request to Azure");
            tokio::time::sleep(pause).await;
            request.body_mut().reset().await?;
        }
    }
}

fn is_passing(status: StatusCode) -> bool {
    matches!(u16::from(status), 408 | 429 | 500 | 502 | 503 | 504)
}

/// A quarter of a second, doubled with each try, and up to a fifth more so that many clients do not come back at once.
fn pause(tries: u32) -> Duration {
    let pause = Duration::from_millis(250) * 2_u32.pow(tries - 1);
    let nanos = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0, |now| now.subsec_nanos());
    pause + pause * (nanos % 20) / 100
}

/// Seconds; the other form, a date, is not sent by Azure Storage.
fn retry_after(headers: &Headers) -> Option<Duration> {
    let seconds = headers.get_optional_str(&HeaderName::from_static("retry-after"))?;
    Some(Duration::from_secs(seconds.trim().parse().ok()?))
}
