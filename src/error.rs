//! How a command ends: one failure a stage, and the exit codes.

use std::fmt;

/// Why a command did not do all that it was asked to.
#[derive(Debug)]
pub enum Failure {
    /// The command line, the configuration or the repository as such is wrong.
    Usage(anyhow::Error),
    /// Deployment files are faulty; every fault has been reported already.
    Faulty {
        /// How many errors there are.
        errors: usize,
        /// Whether the projects that hold them were left out, and the others deployed.
        left_out: bool,
    },
    /// Files that were made hold faults; every one has been reported already.
    Made {
        /// How many errors there are.
        errors: usize,
    },
    /// A service could not be reached or refused us, before anything was written.
    Unreachable(anyhow::Error),
    /// A saved plan does not hold any more.
    Stale {
        /// What moved, one sentence each.
        moved: Vec<String>,
    },
    /// Some changes were not made; each has been reported already.
    Incomplete {
        /// How many failed.
        failed: usize,
        /// How many were not tried because of that.
        skipped: usize,
    },
    /// Some changes of a plan's shards were not made, or are not known to be; each has been reported already.
    Gathered {
        /// How many failed.
        failed: usize,
        /// How many were not tried because of that.
        skipped: usize,
        /// How many shards did not come to their end, or have not told.
        missing: usize,
    },
    /// `plan --check` found changes.
    Changes,
}

impl Failure {
    /// The process's exit code.
    ///
    /// | code | meaning |
    /// |---|---|
    /// | 0 | done |
    /// | 1 | some changes failed, or a shard is missing |
    /// | 2 | usage or configuration, or a saved plan that does not hold any more |
    /// | 3 | bad deployment files |
    /// | 4 | a service could not be reached, or refused us, before anything was written |
    /// | 5 | `plan --check` found changes |
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Incomplete { .. } | Self::Gathered { .. } => 1,
            Self::Usage(_) | Self::Stale { .. } => 2,
            Self::Faulty { .. } | Self::Made { .. } => 3,
            Self::Unreachable(_) => 4,
            Self::Changes => 5,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) | Self::Unreachable(error) => write!(f, "{error:#}"),
            Self::Faulty { errors, left_out } => {
                let plural = if *errors == 1 { "" } else { "s" };
                let then = match (left_out, errors) {
                    (false, _) => "nothing was written",
                    (true, 1) => "the project that holds it was left out",
                    (true, _) => "the projects that hold them were left out",
                };
                write!(f, "{errors} fault{plural}; {then}")
            }
            Self::Made { errors: 1 } => f.write_str("1 fault in the files that were written"),
            Self::Made { errors } => {
                write!(f, "{errors} faults in the files that were written")
            }
            Self::Stale { moved } => {
                f.write_str("the saved plan does not hold any more; nothing was written")?;
                moved.iter().try_for_each(|one| write!(f, "\n  {one}"))
            }
            Self::Incomplete { failed, skipped } => {
                write!(
                    f,
                    "{failed} failed, {skipped} skipped; run the same command again to go on"
                )
            }
            Self::Gathered {
                failed,
                skipped,
                missing,
            } => {
                write!(f, "{failed} failed, {skipped} skipped")?;
                match missing {
                    0 => {}
                    1 => f.write_str("; 1 shard did not come to its end")?,
                    _ => write!(f, "; {missing} shards did not come to their end")?,
                }
                f.write_str("; run the shards that failed again, and then this")
            }
            Self::Changes => f.write_str("there are changes"),
        }
    }
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Self::Usage(error)
    }
}
