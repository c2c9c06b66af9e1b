//! The real services that tests speak to: how each is installed, started and stopped.

pub mod azurite;
pub mod gcs;
pub mod moto;
pub mod process;
