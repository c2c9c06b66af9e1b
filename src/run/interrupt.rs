//! Ctrl-C, and being asked to end, as a CI job is that somebody cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

/// From now on either sets `stop`, which lets what is under way end and begins nothing further; a second time ends the
/// process.
pub(super) fn watch(stop: Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    let mut asked = Asked::new()?;
    Ok(tokio::spawn(async move {
        asked.wait().await;
        stop.store(true, Ordering::Relaxed);
        tracing::warn!("stopping after what is under way; press Ctrl-C again to end at once");
        asked.wait().await;
        #[expect(clippy::exit, reason = "whoever asks twice wants no further word")]
        std::process::exit(130);
    }))
}

#[cfg(unix)]
struct Asked {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Asked {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn wait(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Asked(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Asked {
    fn new() -> std::io::Result<Self> {
        tokio::signal::windows::ctrl_c().map(Self)
    }

    async fn wait(&mut self) {
        self.0.recv().await;
    }
}
