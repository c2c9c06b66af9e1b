//! What the fuzz targets run, over every input with which one of them once failed.

#[path = "../fuzz/reading.rs"]
mod reading;

#[test]
fn every_input_that_once_failed_reads() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/fuzz");
    let mut inputs = 0;
    for entry in std::fs::read_dir(folder).expect("the folder is there") {
        let data = std::fs::read(entry.expect("an entry").path()).expect("readable");
        reading::python(&data);
        reading::yaml(&data);
        inputs += 1;
    }
    assert!(inputs > 0);
    let mut both = b"from flow import get\nget.serve('x')".to_vec();
    both.extend(reading::FLOW_FILE);
    both.extend(b"from prefect import flow\n@flow\ndef get(): pass\n");
    reading::python(&both);
}
