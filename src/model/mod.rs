//! Plain data that several stages mention; no input, no output.
//!
//! A type that only one stage makes and one reads lives with the stage that makes it.

mod applied;
mod captured;
mod code;
mod deployment;
mod diagnostic;
mod digest;
mod environment;
mod image;
mod live;
mod nearest;
mod path;
mod reach;
mod registration;
mod schedule;
mod secrets;
mod shard;
mod shell;
mod step;

pub use applied::{Applied, AppliedDeployment, AppliedPart, Revision};
pub use captured::{Captured, CapturedDeployment};
pub use code::{CodeFile, CodeTree, FileMode, Manifest, ReleaseRef};
pub use deployment::{Absent, Deployment, DeploymentId, Desired, Dialect, Project, Reference};
pub use diagnostic::{Diagnostic, Place, Severity};
pub use digest::{Digest, Hasher, ParseDigestError};
pub use environment::{
    Ambiguous, DEFAULT_ENVIRONMENT, check_declared, environment, is_environment_name,
};
pub use image::{
    Builder, Dockerfile, Image, ImageState, Inputs, Layers, NamedBase, Pinned, Recipe,
    Requirements, is_platform,
};
pub use live::{Live, LiveDeployment, Owner, Refusal};
pub use nearest::{listed, nearest};
pub use path::RepoPath;
pub use reach::{By, LeftOut, Link, Need, Reach, Since};
pub use registration::{Field, Fields, Registration, fingerprint, same};
pub use schedule::{Schedule, Timing, normal_anchor};
pub use secrets::Secrets;
pub use shard::Shard;
pub use shell::shell_quoted;
pub use step::{Outputs, Step, awaits_output, put_outputs, without_outputs};
