//! Registries: Debian's own for what it can show, doubles for the faults that it cannot.

mod access;
mod faults;
mod proxied;
mod tokens;

use std::collections::BTreeMap;

use flowyard::backend::oci::{Credentials, Login, Options, Reference, Registries, Repository};

use crate::contract::repository::{self, put, read};
use crate::services::registry::{PASSWORD, Registry, USER};

/// Registries that are asked without credentials.
fn anonymous() -> Registries {
    with(Credentials::default())
}

fn with(credentials: Credentials) -> Registries {
    let options = Options {
        credentials,
        ..Options::default()
    };
    Registries::new(options).expect("a client")
}

/// Credentials given for one registry.
fn login(registry: &str, username: &str, password: &str) -> Credentials {
    let login = Login {
        username: username.to_owned(),
        password: password.to_owned().into(),
    };
    Credentials {
        logins: BTreeMap::from([(registry.to_owned(), login)]),
        ..Credentials::default()
    }
}

/// A repository of the registry at a port of 127.0.0.1.
fn at(registries: &Registries, port: u16, name: &str) -> impl Repository + use<> {
    let reference: Reference = format!("127.0.0.1:{port}/{name}")
        .parse()
        .expect("a reference");
    registries.repository(&reference)
}

#[tokio::test]
async fn the_contract_holds() {
    let registry = Registry::shared();
    repository::holds(&at(&anonymous(), registry.port(), "contract/open")).await;
}

#[tokio::test]
async fn the_contract_holds_behind_a_password() {
    let registry = Registry::start_with_password();
    let registries = with(login(&registry.name(), USER, PASSWORD));
    repository::holds(&at(&registries, registry.port(), "contract")).await;
}

#[tokio::test]
async fn a_blob_is_taken_over_from_a_neighbour() {
    let registry = Registry::shared();
    let registries = anonymous();
    let base = at(&registries, registry.port(), "mount/base");
    let flows = at(&registries, registry.port(), "mount/flows");
    let digest = put(&base, "a layer").await;
    assert!(!flows.has(&digest).await.expect("an answer"));
    assert!(flows.mount(&digest, "mount/base").await.expect("an answer"));
    assert!(flows.has(&digest).await.expect("an answer"));
    assert_eq!(read(&flows, &digest).await.expect("the blob"), "a layer");
    // From itself it is there or not.
    assert!(
        flows
            .mount(&digest, "mount/flows")
            .await
            .expect("an answer")
    );
}
