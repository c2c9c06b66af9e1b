//! The real services that tests speak to: installed on first use, started on free ports, ended with the test process.

pub(crate) mod prefect;
pub(crate) mod process;
