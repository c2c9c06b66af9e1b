//! Writes files for people, and overwrites none.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use crate::scaffold::File;

/// Whether something of this name is there, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

/// Writes a file below `base`, with the folders that it needs. An error where it is there already, or where a symbolic
/// link on its way leads out of `base`.
pub(super) fn create(base: &Path, file: &File) -> anyhow::Result<()> {
    let target = base.join(file.path.as_str());
    let write = || -> anyhow::Result<()> {
        let base = base.canonicalize()?;
        let mut above: PathBuf = target.clone();
        while above.pop() {
            if is_there(&above) {
                break;
            }
        }
        if !above.canonicalize()?.starts_with(&base) {
            bail!("a symbolic link leads out of {}", base.display());
        }
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut options = fs::OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        if file.executable {
            use std::os::unix::fs::OpenOptionsExt as _;
            options.mode(0o777);
        }
        let mut out = options.open(&target)?;
        out.write_all(&file.content)?;
        Ok(out.sync_all()?)
    };
    write().with_context(|| format!("write {}", target.display()))
}

/// Shows a file as it is, or would be, written. What is no text is told by its length.
pub(super) fn show(
    path: &str,
    content: &[u8],
    out: &mut dyn std::io::Write,
) -> std::io::Result<()> {
    writeln!(out, "{path}")?;
    match std::str::from_utf8(content) {
        Ok(text) if !text.contains(|one: char| one.is_control() && one != '\n' && one != '\t') => {
            for line in text.lines() {
                let line = format!("  | {line}");
                writeln!(out, "{}", line.trim_end())?;
            }
            Ok(())
        }
        _ => writeln!(out, "  ({} bytes)", content.len()),
    }
}
