//! Writes files for people, overwrites none, and tells of each.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use super::{Run, show};
use crate::cli::Format;
use crate::model::RepoPath;
use crate::report::json::{self, Action};
use crate::scaffold::File;

/// Writes the files of a command one after another. People see each as it is written; programs get one document in the end.
pub(super) struct Writer<'r> {
    run: &'r Run,
    dry_run: bool,
    files: Vec<json::File>,
}

impl<'r> Writer<'r> {
    pub(super) fn new(run: &'r Run, dry_run: bool) -> Self {
        Self {
            run,
            dry_run,
            files: Vec::new(),
        }
    }

    /// Writes a file below `base`, with the folders that it needs. An error where it is there already, or where a symbolic
    /// link on its way leads out of `base`.
    pub(super) fn write(&mut self, base: &Path, file: File) -> anyhow::Result<()> {
        self.show(file.path.as_str(), &file.content)?;
        if !self.dry_run {
            create(base, &file)?;
        }
        self.files.push(json::File {
            path: file.path,
            action: Action::Write,
            from: None,
            content: Some(file.content),
        });
        Ok(())
    }

    /// Leaves a file that is there.
    pub(super) fn keep(&mut self, path: RepoPath) -> anyhow::Result<()> {
        self.say(&format!("{path}: is there already, and stays as it is"))?;
        self.files.push(json::File {
            path,
            action: Action::Keep,
            from: None,
            content: None,
        });
        Ok(())
    }

    /// Says how many files were written by the command `kind`.
    pub(super) fn end(self, kind: &str) -> anyhow::Result<()> {
        let written = self.files.iter().filter(|one| one.action == Action::Write);
        let done = if self.dry_run { "Would write" } else { "Wrote" };
        let (number, plural) = match written.count() {
            1 => (1, ""),
            number => (number, "s"),
        };
        self.say(&format!("\n{done} {number} file{plural}."))?;
        show::files(kind, self.dry_run, &self.files, self.run)
    }

    /// Shows a file as it is, or would be, written. What is no text is told by its length.
    fn show(&self, path: &str, content: &[u8]) -> anyhow::Result<()> {
        self.say(path)?;
        match std::str::from_utf8(content) {
            Ok(text)
                if !text.contains(|one: char| one.is_control() && one != '\n' && one != '\t') =>
            {
                for line in text.lines() {
                    self.say(format!("  | {line}").trim_end())?;
                }
                Ok(())
            }
            _ => self.say(&format!("  ({} bytes)", content.len())),
        }
    }

    /// A line for people.
    pub(super) fn say(&self, line: &str) -> anyhow::Result<()> {
        say(self.run, line)
    }
}

/// A line for people about what a command does, where it does not give a document.
pub(super) fn say(run: &Run, line: &str) -> anyhow::Result<()> {
    match run.global.format {
        Format::Json => Ok(()),
        Format::Terminal | Format::Markdown => {
            match writeln!(anstream::stdout(), "{line}") {
                // Who closes the pipe has read enough; the files are written all the same.
                Err(error) if error.kind() == ErrorKind::BrokenPipe => Ok(()),
                result => result.context("write to stdout"),
            }
        }
    }
}

/// Whether something of this name is there, be it a link that leads nowhere.
pub(super) fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn create(base: &Path, file: &File) -> anyhow::Result<()> {
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
