//! What Prefect itself makes of the flows of some files, against what is read here.

mod flows;
mod hostile;
mod packages;

use serde_json::{Value, json};

use super::*;

fn fixture(path: &str) -> String {
    let path = format!("{}/tests/fixtures/{path}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// What differs between a flow as read and as Prefect makes it; empty where nothing does.
fn differences(read: &Flow, name: &Value, description: &Value, schema: &Value) -> String {
    let mut differences = String::new();
    if json!(read.name) != *name {
        differences += &format!("name: {:?} for {name}\n", read.name);
    }
    if json!(read.description) != *description {
        differences += &format!("description: {:?} for {description}\n", read.description);
    }
    if read.schema != *schema {
        for part in ["properties", "definitions"] {
            let (ours, theirs) = (read.schema[part].as_object(), schema[part].as_object());
            let names = ours
                .iter()
                .chain(&theirs)
                .flat_map(|map| map.keys())
                .collect::<BTreeSet<_>>();
            for name in names {
                let (ours, theirs) = (&read.schema[part][name], &schema[part][name]);
                if ours != theirs {
                    differences += &format!("{name}:\n  ours   {ours}\n  theirs {theirs}\n");
                }
            }
        }
        if read.schema["required"] != schema["required"] {
            differences += &format!(
                "required: {} for {}\n",
                read.schema["required"], schema["required"]
            );
        }
        if differences.is_empty() {
            differences += &format!("schema: {} for {schema}\n", read.schema);
        }
    }
    differences
}

/// Reads every flow of the oracle; `refused` names those that Prefect itself cannot make, with the fault.
fn compare_oracle(file: &str, dialect: Dialect, refused: &[(&str, FlowFault)]) {
    let module = Module::parse(&fixture("parameter-schemas/signatures.py")).expect("valid");
    let oracle: Value =
        serde_json::from_str(&fixture(&format!("parameter-schemas/{file}"))).expect("valid");
    let mut report = String::new();
    let mut flows = 0;
    for (function, theirs) in oracle.as_object().expect("an object") {
        if function == "_meta" {
            continue;
        }
        flows += 1;
        let read = module.flow(function, dialect);
        if let Some((_, fault)) = refused.iter().find(|(name, _)| name == function) {
            assert!(theirs["runtime_error"].is_string(), "{function}");
            assert_eq!(read.as_ref(), Err(fault), "{function}");
            continue;
        }
        let read = read.expect(function);
        assert_eq!(read.unknown, [], "{function}");
        let found = differences(
            &read,
            &theirs["flow_name"],
            &theirs["description"],
            &theirs["runtime"],
        );
        if !found.is_empty() {
            report += &format!("--- {function}\n{found}");
        }
    }
    assert_eq!(flows, 45);
    assert_eq!(module.flows().len(), 45);
    assert!(report.is_empty(), "{report}");
}

#[test]
fn every_signature_of_the_oracle_reads_as_in_prefect_3() {
    compare_oracle("prefect3.json", Dialect::Prefect3, &[]);
}

#[test]
fn every_signature_of_the_oracle_reads_as_in_prefect_2() {
    let undefined = FlowFault::TypeUndefined {
        line: 288,
        column: 29,
        name: "NotDefined".to_owned(),
    };
    compare_oracle(
        "prefect2.json",
        Dialect::Prefect2,
        &[("s40_mixed", undefined)],
    );
}

/// Compares a fixture's flows with what was recorded; `gaps` lists what is expected not to be known, as
/// `function.parameter`.
fn compare_recorded(stem: &str, dialect: Dialect, gaps: &[&str]) {
    let module = Module::parse(&fixture(&format!("python/{stem}.py"))).expect("valid");
    let ending = match dialect {
        Dialect::Prefect2 => ".prefect2.json",
        Dialect::Prefect3 => ".json",
    };
    let recorded: Value =
        serde_json::from_str(&fixture(&format!("python/{stem}{ending}"))).expect("valid");
    let recorded = recorded.as_object().expect("an object");
    let mut report = String::new();
    let mut missed: Vec<&str> = gaps.to_vec();
    let flows = recorded.iter().filter(|(name, _)| *name != "_meta");
    assert_eq!(module.flows().len(), flows.clone().count(), "{stem}");
    for (function, theirs) in flows {
        let read = module.flow(function, dialect);
        if theirs["error"].is_string() {
            // What else Prefect 2 stumbles over is nothing that people write.
            let odd = ["clashes", "other_default", "string_unions"].contains(&function.as_str());
            if !odd && !matches!(read, Err(FlowFault::TypeUndefined { .. })) {
                report += &format!("--- {function}: {read:?} for {theirs}\n");
            }
            continue;
        }
        let mut read = read.expect(function);
        let mut theirs = theirs.clone();
        for gap in &read.unknown {
            let (Part::Annotation(parameter) | Part::Default(parameter)) = &gap.part else {
                report += &format!("--- {function}: {gap:?}\n");
                continue;
            };
            match missed
                .iter()
                .position(|listed| *listed == format!("{function}.{parameter}"))
            {
                Some(listed) => {
                    missed.remove(listed);
                    // What we say not to know may differ; all the rest may not.
                    read.schema["properties"][parameter] = Value::Null;
                    theirs["schema"]["properties"][parameter] = Value::Null;
                }
                None => report += &format!("--- {function}: {gap:?}\n"),
            }
        }
        let found = differences(
            &read,
            &theirs["flow_name"],
            &theirs["description"],
            &theirs["schema"],
        );
        if !found.is_empty() {
            report += &format!("--- {function}\n{found}");
        }
    }
    for known in missed {
        report += &format!("--- {known} is known by now\n");
    }
    assert!(report.is_empty(), "{report}");
}

#[test]
fn types_read_as_in_prefect() {
    let gaps = &["unserialisable.l", "sets.e"];
    compare_recorded("types", Dialect::Prefect3, gaps);
    compare_recorded("types", Dialect::Prefect2, gaps);
}

#[test]
fn classes_read_as_in_prefect() {
    let gaps = &[];
    compare_recorded("models", Dialect::Prefect3, gaps);
    compare_recorded("models", Dialect::Prefect2, gaps);
}

#[test]
fn postponed_annotations_read_as_in_prefect() {
    let gaps = &[];
    compare_recorded("postponed", Dialect::Prefect3, gaps);
    compare_recorded("postponed", Dialect::Prefect2, gaps);
}

#[test]
fn a_file_as_people_write_it_reads_as_in_prefect() {
    compare_recorded("real", Dialect::Prefect3, &[]);
}

#[test]
fn a_module_can_be_sent_to_another_thread() {
    fn is_send<T: Send + Sync>() {}
    is_send::<Module>();
    is_send::<Flow>();
}
