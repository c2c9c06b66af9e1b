//! Which of the values that a run was given are secret.

use std::collections::BTreeSet;

use secrecy::ExposeSecret as _;

use super::{Config, Environment};

/// Variables that say where and what a run is; hiding their values would hide what everybody knows.
const PUBLIC: &[&str] = &["GITHUB_", "RUNNER_"];

/// From how many bytes on a value may be a secret whatever its variable is called.
const LONG: usize = 12;

/// What the names of variables hold whose values are secret.
const WORDS: &[&str] = &[
    "SECRET",
    "TOKEN",
    "PASS",
    "PWD",
    "KEY",
    "CREDENTIAL",
    "AUTH",
    "DSN",
    "CONNECTION",
    "PRIVATE",
    "SERVICE_ACCOUNT",
];

impl Config {
    /// Every secret value of the configuration, and those inside of connection strings, addresses and pairs.
    pub fn secrets(&self) -> Vec<String> {
        let mut all = Vec::new();
        let azure = &self.storage.azure;
        let mut add = |value: &secrecy::SecretString| all.push(value.expose_secret().to_owned());
        for value in [
            &self.prefect.api_key,
            &self.prefect.auth_string,
            &azure.connection_string,
            &azure.account_key,
            &azure.sas_token,
            &azure.client_secret,
        ] {
            value.iter().for_each(&mut add);
        }
        for (_, password) in self.image.login.iter().chain(&self.image.github) {
            add(password);
        }
        if let Some(github) = &self.github {
            github.token.iter().for_each(&mut add);
            github.id_token.iter().for_each(|one| add(&one.token));
        }
        for (name, value) in self.storage.aws.iter().chain(&self.storage.google) {
            if is_secret_name(name) {
                add(value);
            }
        }
        let parts: Vec<String> = all.iter().flat_map(|value| parts(value)).collect();
        all.extend(parts);
        all
    }

    /// Whether there is anything that proves to Prefect, a storage or a registry who we are. The token of a job of GitHub
    /// Actions does not count: every job has one. That with which it gets tokens for others does, where Azure is told which
    /// application they stand for; no job for the pull request of a fork has it.
    pub fn has_credentials(&self) -> bool {
        let azure = &self.storage.azure;
        let given = [
            &self.prefect.api_key,
            &self.prefect.auth_string,
            &azure.connection_string,
            &azure.account_key,
            &azure.sas_token,
            &azure.client_secret,
        ];
        let mut clouds = self.storage.aws.iter().chain(&self.storage.google);
        given.iter().any(|one| one.is_some())
            || self.image.login.is_some()
            // Of a runner in a cluster.
            || azure.federated_token_file.is_some()
            || (azure.tenant_id.is_some() && azure.client_id.is_some() && self.has_id_token())
            || clouds.any(|(name, value)| names_a_credential(name) && !value.expose_secret().is_empty())
    }

    fn has_id_token(&self) -> bool {
        let job = self.github.as_ref();
        job.is_some_and(|job| job.id_token.is_some())
    }
}

/// The values of the variables that are named and may be secret: those whose names say so, and long ones. A region or a
/// team is neither, and taking it out of every path that holds it would make a report useless.
pub fn values<'a>(
    names: impl IntoIterator<Item = &'a str>,
    environment: &Environment,
) -> BTreeSet<String> {
    names
        .into_iter()
        .filter_map(|name| Some((name, environment.get(name)?)))
        .filter(|(name, value)| {
            let public = PUBLIC.iter().any(|prefix| name.starts_with(prefix));
            is_secret_name(name) || (!public && value.len() >= LONG)
        })
        .map(|(_, value)| value.clone())
        .collect()
}

/// Whether a variable's name says that its value is one: `AWS_SECRET_ACCESS_KEY`, not `AWS_REGION`.
fn is_secret_name(name: &str) -> bool {
    let name = name.to_uppercase();
    // Files hold secrets, their paths are none.
    let path = ["_FILE", "_PATH", "APPLICATION_CREDENTIALS"];
    WORDS.iter().any(|word| name.contains(word)) && !path.iter().any(|end| name.ends_with(end))
}

/// Whether a variable's name says that its value is one, or the path of a file that holds one.
fn names_a_credential(name: &str) -> bool {
    let file = ["TOKEN_FILE", "CREDENTIALS_FILE", "APPLICATION_CREDENTIALS"];
    is_secret_name(name) || file.iter().any(|end| name.ends_with(end))
}

/// The secrets inside of a value: the key and the signature of a connection string or an address, the password of
/// `user:password`.
fn parts(value: &str) -> Vec<String> {
    let mut found = Vec::new();
    for field in value.split([';', '&', '?']) {
        let Some((name, rest)) = field.split_once('=') else {
            continue;
        };
        match name.trim().to_ascii_lowercase().as_str() {
            "accountkey" | "sharedaccesssignature" => found.push(rest.to_owned()),
            "sig" => {
                found.push(rest.to_owned());
                let plain = percent_encoding::percent_decode_str(rest).decode_utf8_lossy();
                found.push(plain.into_owned());
            }
            _ => {}
        }
    }
    if let Some((user, password)) = value.split_once(':')
        && !user.contains(['/', '=', ';', '{', ' '])
        && !password.starts_with("//")
    {
        found.push(password.to_owned());
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_inside_of_values_count() {
        let text = "DefaultEndpointsProtocol=https;AccountName=acc;AccountKey=a2V5a2V5==;EndpointSuffix=core.windows.net";
        assert_eq!(parts(text), ["a2V5a2V5=="]);
        assert_eq!(
            parts("?sv=2024&sig=ab%2Bcd%3D&se=1"),
            ["ab%2Bcd%3D", "ab+cd="]
        );
        assert_eq!(parts("admin:pass:word"), ["pass:word"]);
        assert_eq!(parts("pnu_plain"), [""; 0]);
        assert_eq!(parts("https://host/x"), [""; 0]);
    }

    #[test]
    fn what_everybody_knows_is_not_hidden() {
        let environment: Environment = [
            ("GITHUB_SHA", "0123456789"),
            ("GITHUB_TOKEN", "ghs_x"),
            ("DN_TOKEN", "hush"),
            ("REGION", "westeurope"),
            ("DATABASE", "postgres://u:hush@host/db"),
            ("EMPTY", ""),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
        let names = [
            "GITHUB_SHA",
            "GITHUB_TOKEN",
            "DN_TOKEN",
            "REGION",
            "DATABASE",
            "EMPTY",
            "UNSET",
        ];
        let expected = ["ghs_x", "hush", "postgres://u:hush@host/db"]
            .map(str::to_owned)
            .into();
        assert_eq!(values(names, &environment), expected);
        assert!(is_secret_name("AWS_SECRET_ACCESS_KEY") && !is_secret_name("AWS_REGION"));
        assert!(!is_secret_name("AWS_WEB_IDENTITY_TOKEN_FILE"));
    }

    #[test]
    fn the_token_of_a_job_is_no_credential() {
        let has = |name: &str, value: &str| {
            let set = [
                ("GITHUB_ACTIONS", "true"),
                ("GITHUB_TOKEN", "ghs_x"),
                (name, value),
            ];
            let environment = set
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .into();
            let global = crate::cli::Global {
                root: None,
                env: None,
                local: false,
                run_steps: false,
                run_python: false,
                format: crate::cli::Format::Terminal,
                verbose: 0,
            };
            let config = Config::new(
                &global,
                &environment,
                None,
                &crate::config::Terraform::default(),
            );
            config.expect("it is valid").has_credentials()
        };
        for name in [
            "PREFECT_API_KEY",
            "AZURE_STORAGE_SAS_TOKEN",
            "AZURE_FEDERATED_TOKEN_FILE",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "GOOGLE_APPLICATION_CREDENTIALS",
        ] {
            assert!(has(name, "x"), "{name}");
            assert!(
                !has(name, ""),
                "{name}, empty as a secret is that a fork does not get"
            );
        }
        for name in [
            "PREFECT_API_URL",
            "AWS_REGION",
            "GITHUB_ACTOR",
            "AZURE_CLIENT_ID",
        ] {
            assert!(!has(name, "x"), "{name}");
        }
    }
}
