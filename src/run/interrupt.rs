//! Ctrl-C, and being asked to end, as a CI job is that somebody cancels.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::JoinHandle;

/// From now on whoever asks sets `stop`, which lets what is under way end and begins nothing further; the same word a second
/// time ends the process.
///
/// The other word does not: the runner of GitHub Actions says "interrupt", 7.5 s later "terminate", and kills 2.5 s after
/// that what it cancels (`ProcessInvoker.cs` of <https://github.com/actions/runner>). It has asked once.
pub(super) fn watch(stop: Arc<AtomicBool>) -> std::io::Result<JoinHandle<()>> {
    let mut asked = Asked::new()?;
    Ok(tokio::spawn(async move {
        let mut heard = vec![asked.wait().await];
        stop.store(true, Ordering::Relaxed);
        tracing::warn!("stopping after what is under way; press Ctrl-C again to end at once");
        loop {
            let word = asked.wait().await;
            if heard.contains(&word) {
                #[expect(clippy::exit, reason = "whoever asks twice wants no further word")]
                std::process::exit(130);
            }
            heard.push(word);
        }
    }))
}

/// How one is asked.
#[derive(PartialEq, Eq)]
enum Word {
    /// SIGINT; Ctrl-C.
    Interrupt,
    /// SIGTERM; on Windows Ctrl-Break, which the runner sends there.
    Terminate,
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
}

#[cfg(windows)]
struct Asked {
    interrupt: tokio::signal::windows::CtrlC,
    terminate: tokio::signal::windows::CtrlBreak,
}

#[cfg(windows)]
impl Asked {
    fn new() -> std::io::Result<Self> {
        use tokio::signal::windows::{ctrl_break, ctrl_c};
        Ok(Self {
            interrupt: ctrl_c()?,
            terminate: ctrl_break()?,
        })
    }
}

impl Asked {
    async fn wait(&mut self) -> Word {
        tokio::select! {
            _ = self.interrupt.recv() => Word::Interrupt,
            _ = self.terminate.recv() => Word::Terminate,
        }
    }
}
