//! Any bytes as a `prefect.yaml` and as a `.deployment.yaml`.

#![no_main]

#[path = "../reading.rs"]
#[expect(dead_code, reason = "each target runs its own part")]
mod reading;

libfuzzer_sys::fuzz_target!(|data: &[u8]| reading::yaml(data));
