//! A child process with an end: its output is bounded, its time is limited, and its group ends with it.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Command;

use crate::process::Group;

/// What a process may take.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// How long it may run; `None` for as long as it likes.
    pub(super) time: Option<Duration>,
    /// Bytes of its stdout; one that writes more is ended.
    pub(super) stdout: usize,
    /// Bytes of its stderr that are kept, from the end.
    pub(super) stderr: usize,
}

/// A process that has ended.
#[derive(Debug)]
pub(super) struct Ended {
    /// How.
    pub(super) status: ExitStatus,
    /// All that it wrote to stdout.
    pub(super) stdout: Vec<u8>,
    /// The end of what it wrote to stderr.
    pub(super) stderr: Vec<u8>,
}

/// Why there is no [`Ended`].
#[derive(Debug)]
pub(super) enum Stopped {
    /// It could not be started.
    Unstarted(io::Error),
    /// Its time was over; with the end of its stderr.
    Late(Vec<u8>),
    /// It wrote more to stdout than it may; likewise.
    TooMuch(Vec<u8>),
}

/// How long pipes stay open for once their process has ended: a descendant that got away may hold them.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a command in a process group of its own, with `input` as its stdin. When this returns, or is dropped, the group
/// has been killed.
pub(super) async fn run(
    command: &mut Command,
    input: &[u8],
    limits: Limits,
) -> Result<Ended, Stopped> {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    #[cfg(unix)]
    command.process_group(0);
    let mut child = command.spawn().map_err(Stopped::Unstarted)?;
    let group = Group(child.id());
    let (stdin, out_pipe, err_pipe) =
        (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    let mut full = false;
    let result = {
        let write = async {
            if let Some(mut stdin) = stdin {
                // A process that reads nothing closes the pipe: that is no fault.
                let _ = stdin.write_all(input).await;
            }
        };
        let out = async {
            full = keep_start(out_pipe, &mut stdout, limits.stdout).await;
            if full {
                group.kill();
            }
        };
        let err = keep_end(err_pipe, &mut stderr, limits.stderr);
        let mut pipes = std::pin::pin!(async { tokio::join!(write, out, err) });
        let wait = async {
            let mut open = true;
            let status = loop {
                tokio::select! {
                    status = child.wait() => break status,
                    _ = &mut pipes, if open => open = false,
                }
            };
            group.kill();
            if open {
                let _ = tokio::time::timeout(GRACE, &mut pipes).await;
            }
            status
        };
        match limits.time {
            Some(limit) => tokio::time::timeout(limit, wait).await.ok(),
            None => Some(wait.await),
        }
    };
    group.kill();
    match result {
        None => Err(Stopped::Late(stderr)),
        Some(_) if full => Err(Stopped::TooMuch(stderr)),
        Some(Err(error)) => Err(Stopped::Unstarted(error)),
        Some(Ok(status)) => Ok(Ended {
            status,
            stdout,
            stderr,
        }),
    }
}

/// Reads up to `most` bytes; whether there were more.
async fn keep_start(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) -> bool {
    let Some(mut pipe) = pipe else { return false };
    let mut part = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut part).await {
        if kept.len() + count > most {
            return true;
        }
        kept.extend_from_slice(&part[..count]);
    }
    false
}

/// Reads to the end, and keeps the last `most` bytes.
async fn keep_end(pipe: Option<impl AsyncRead + Unpin>, kept: &mut Vec<u8>, most: usize) {
    let Some(mut pipe) = pipe else { return };
    let mut part = vec![0; 16 * 1024];
    while let Ok(count @ 1..) = pipe.read(&mut part).await {
        kept.extend_from_slice(&part[..count]);
        if kept.len() > 2 * most {
            kept.drain(..kept.len() - most);
        }
    }
    if kept.len() > most {
        kept.drain(..kept.len() - most);
    }
}

/// The last lines of a log, as text.
pub(super) fn last_lines(log: &[u8], most: usize) -> Vec<String> {
    let text = String::from_utf8_lossy(log);
    let lines: Vec<&str> = text.lines().filter(|one| !one.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(most)..]
        .iter()
        .map(|line| line.chars().take(400).collect())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits {
        time: Some(Duration::from_secs(20)),
        stdout: 100,
        stderr: 10,
    };

    fn shell(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn output_is_bounded() {
        let ended = run(
            &mut shell("cat; echo 0123456789abcdef >&2; exit 3"),
            b"in",
            LIMITS,
        )
        .await
        .expect("it ends");
        assert_eq!(ended.status.code(), Some(3));
        assert_eq!(ended.stdout, b"in");
        assert_eq!(ended.stderr, b"789abcdef\n");
        let stopped = run(&mut shell("while :; do echo more; done"), b"", LIMITS).await;
        assert!(matches!(stopped, Err(Stopped::TooMuch(_))), "{stopped:?}");
    }

    #[tokio::test]
    async fn a_group_ends_in_time() {
        let folder = tempfile::tempdir().expect("a folder");
        let mark = folder.path().join("mark");
        let script = format!(
            "sleep 1000 & echo $! >{}; echo wait >&2; sleep 1000",
            mark.display()
        );
        let short = Limits {
            time: Some(Duration::from_secs(3)),
            ..LIMITS
        };
        let start = std::time::Instant::now();
        let stopped = run(&mut shell(&script), b"", short).await;
        assert!(
            matches!(&stopped, Err(Stopped::Late(log)) if log == b"wait\n"),
            "{stopped:?}"
        );
        // One that goes on in the background does not hold us up either.
        let ended = run(&mut shell("sleep 1000 & echo done"), b"", LIMITS).await;
        assert_eq!(ended.expect("it ends").stdout, b"done\n");
        assert!(start.elapsed() < Duration::from_secs(500));
        let id = std::fs::read_to_string(&mark).expect("it was written");
        // One that has ended, and that nobody has asked how, has no command line.
        let line = format!("/proc/{}/cmdline", id.trim());
        while std::fs::read(&line).is_ok_and(|line| !line.is_empty()) {
            assert!(
                start.elapsed() < Duration::from_secs(500),
                "the group was killed"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}
