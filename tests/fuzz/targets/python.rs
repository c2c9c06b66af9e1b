//! Any bytes as a `.deployment.py` and the file of its flow.

#![no_main]

#[path = "../reading.rs"]
#[expect(dead_code, reason = "each target runs its own part")]
mod reading;

libfuzzer_sys::fuzz_target!(|data: &[u8]| reading::python(data));
