//! What the builds of images print: on stderr as it comes, each line with its project, and in a file.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::backend::BuildLog;
use crate::plan::ImagePlan;
use crate::report::progress::Progress;

/// The log of one build.
///
/// The file is called by the image's tag, and is written anew where the same image is built once more. One that cannot be
/// written is no reason not to build.
pub(super) struct Log {
    prefix: String,
    file: Option<Mutex<BufWriter<File>>>,
    progress: Arc<Progress>,
}

impl Log {
    /// A log below `folder`, which is made.
    pub(super) fn new(image: &ImagePlan, folder: &Path, progress: &Arc<Progress>) -> Self {
        let project = image.project.to_string();
        let tag = image
            .tag
            .map_or_else(|| image.keys.join("-"), |tag| tag.short());
        let name = format!("{}-{tag}.log", project.replace('/', "-"));
        let file = std::fs::create_dir_all(folder)
            .and_then(|()| File::create(folder.join(&name)))
            .map_err(|error| {
                tracing::warn!("the log of the build {name} cannot be written: {error}");
            });
        Self {
            prefix: project,
            file: file.ok().map(|file| Mutex::new(BufWriter::new(file))),
            progress: Arc::clone(progress),
        }
    }
}

impl BuildLog for Log {
    fn line(&self, line: &str) {
        if let Some(file) = &self.file {
            let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
            // A full disk shows elsewhere.
            let _ = writeln!(file, "{line}").and_then(|()| file.flush());
        }
        self.progress.line(&format!("{} | {line}", self.prefix));
    }
}
