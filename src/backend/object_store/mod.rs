//! Stores of the crate `object_store`: buckets of S3 and of Google Cloud Storage; and folders, which have their own code.

mod access;
mod bucket;
mod fault;
mod folder;
mod http;

pub use access::{Gcs, S3};
pub use bucket::Bucket;
pub use folder::Folder;
