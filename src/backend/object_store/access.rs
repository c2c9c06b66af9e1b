//! How to reach a bucket and who we are to it.

use std::sync::Arc;
use std::time::Duration;

use ::object_store::aws::{
    AmazonS3Builder, AmazonS3ConfigKey, S3ConditionalPut, S3CopyIfNotExists,
};
use ::object_store::gcp::{GcpCredential, GoogleCloudStorageBuilder, GoogleConfigKey};
use ::object_store::{BackoffConfig, RetryConfig, StaticCredentialProvider};
use secrecy::{ExposeSecret as _, SecretString};

use super::bucket::{Bucket, Service};
use super::http::Shared;
use crate::backend::transfer::root;
use crate::backend::{Error, Kind, Result};

/// How to reach and use a bucket of S3, or of a service that speaks its protocol.
#[derive(Clone, Debug, Default)]
pub struct S3 {
    /// The access key's id.
    pub access_key: Option<String>,
    /// Its secret.
    pub secret_key: Option<SecretString>,
    /// The bucket's region; `us-east-1` where nothing says another.
    pub region: Option<String>,
    /// The service's URL where it is not Amazon's.
    pub endpoint: Option<String>,
    /// Whether that may be `http://`.
    pub allow_http: bool,
    /// Settings by the names of the standard variables (`AWS_SESSION_TOKEN`, `AWS_ROLE_ARN`,
    /// `AWS_WEB_IDENTITY_TOKEN_FILE` …); names that the crate does not know are passed over. The fields above win.
    pub settings: Vec<(String, SecretString)>,
}

/// How to reach and use a bucket of Google Cloud Storage.
#[derive(Clone, Debug, Default)]
pub struct Gcs {
    /// The path of a service account's key file. Without it and without a setting that says otherwise, the application
    /// default credentials are used: gcloud's own file, else the machine's metadata server.
    pub service_account: Option<String>,
    /// The service's URL where it is not Google's: an emulator, which is spoken to without credentials.
    pub endpoint: Option<String>,
    /// Settings by the names of the standard variables (`GOOGLE_APPLICATION_CREDENTIALS`,
    /// `GOOGLE_SERVICE_ACCOUNT_KEY` …); names that the crate does not know are passed over. The fields above win.
    pub settings: Vec<(String, SecretString)>,
}

impl Bucket {
    /// Prepares a client for `s3://bucket/prefix`; sends nothing, so a wrong name or key shows with the first request.
    pub fn s3(bucket: &str, prefix: &str, access: &S3, http: &reqwest::Client) -> Result<Self> {
        let subject = subject("s3", bucket, prefix);
        let mut builder = AmazonS3Builder::new();
        for (name, value) in &access.settings {
            if let Ok(key) = name.to_ascii_lowercase().parse::<AmazonS3ConfigKey>() {
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        if let Some(id) = &access.access_key {
            builder = builder.with_access_key_id(id);
        }
        if let Some(secret) = &access.secret_key {
            builder = builder.with_secret_access_key(secret.expose_secret());
        }
        if let Some(region) = &access.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_endpoint(endpoint);
        }
        let endpoint = [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key));
        check_scheme(&subject, endpoint.as_deref(), access.allow_http)?;
        let objects = builder
            .with_bucket_name(bucket)
            .with_allow_http(access.allow_http)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_copy_if_not_exists(S3CopyIfNotExists::Multipart)
            // A plain DELETE, which every service that speaks S3 has.
            .with_disable_bulk_delete(true)
            .with_retry(retry())
            .with_http_connector(Shared(http.clone()))
            .build()
            .map_err(|error| {
                Error::new(
                    Kind::Other,
                    &subject,
                    format!("set up the client: {}", root(&error)),
                )
            })?;
        Self::new(Arc::new(objects), Service::S3, bucket, prefix, subject)
    }

    /// Prepares a client for `gs://bucket/prefix`; sends nothing, so a wrong name or key shows with the first request.
    pub fn gcs(bucket: &str, prefix: &str, access: &Gcs, http: &reqwest::Client) -> Result<Self> {
        let subject = subject("gs", bucket, prefix);
        let mut builder = GoogleCloudStorageBuilder::new();
        for (name, value) in &access.settings {
            if let Ok(key) = name.to_ascii_lowercase().parse::<GoogleConfigKey>() {
                builder = builder.with_config(key, value.expose_secret());
            }
        }
        if let Some(path) = &access.service_account {
            builder = builder.with_service_account_path(path);
        }
        if let Some(endpoint) = &access.endpoint {
            builder = builder.with_base_url(endpoint.trim_end_matches('/'));
            if access.service_account.is_none() {
                let nobody = GcpCredential {
                    bearer: String::new(),
                };
                builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(nobody)));
            }
        }
        let objects = builder
            .with_bucket_name(bucket)
            .with_retry(retry())
            .with_http_connector(Shared(http.clone()))
            .build()
            .map_err(|error| {
                Error::new(
                    Kind::Other,
                    &subject,
                    format!("set up the client: {}", root(&error)),
                )
            })?;
        Self::new(Arc::new(objects), Service::Gcs, bucket, prefix, subject)
    }
}

fn subject(scheme: &str, bucket: &str, prefix: &str) -> String {
    let subject = format!("{scheme}://{bucket}/{}", prefix.trim_matches('/'));
    subject.trim_end_matches('/').to_owned()
}

fn check_scheme(subject: &str, endpoint: Option<&str>, allow_http: bool) -> Result<()> {
    match endpoint {
        Some(endpoint) if endpoint.starts_with("http://") && !allow_http => Err(Error::new(
            Kind::Other,
            subject,
            "use an endpoint with http://: it is not encrypted",
        )
        .hint("allow it explicitly where the network is trusted")),
        _ => Ok(()),
    }
}

/// Five repetitions over at most half a minute; refused connections end earlier, see [`Shared`].
fn retry() -> RetryConfig {
    RetryConfig {
        backoff: BackoffConfig {
            init_backoff: Duration::from_millis(100),
            max_backoff: Duration::from_secs(5),
            base: 2.0,
        },
        max_retries: 5,
        retry_timeout: Duration::from_secs(30),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backend::Store as _;

    #[test]
    fn secrets_show_nowhere_and_http_needs_leave() {
        let http = crate::backend::transfer::client().expect("a client");
        let mut access = S3 {
            access_key: Some("id".to_owned()),
            secret_key: Some("hush".to_owned().into()),
            endpoint: Some("http://127.0.0.1:1".to_owned()),
            settings: vec![("AWS_SESSION_TOKEN".to_owned(), "hush".to_owned().into())],
            ..S3::default()
        };
        assert!(!format!("{access:?}").contains("hush"));
        let error = Bucket::s3("b", "p", &access, &http).expect_err("http");
        assert!(error.message.contains("not encrypted"), "{error}");
        access.allow_http = true;
        let bucket = Bucket::s3("b", "/p/", &access, &http).expect("a bucket");
        assert_eq!(bucket.subject(), "s3://b/p");
        assert!(!format!("{bucket:?}").contains("hush"));
    }
}
