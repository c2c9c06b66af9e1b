//! Whether addresses of `flowyard.toml` are any; an error is a lower-case fragment that says what to do.

/// The address of a Prefect server. It is not shown: a password may stand in it.
pub(super) fn server(text: &str) -> Result<(), String> {
    let why = match url::Url::parse(text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => return Ok(()),
        Ok(url) => format!("its scheme is `{}`", url.scheme()),
        Err(error) => error.to_string(),
    };
    Err(format!(
        "`api-url` is no address of a server: {why}; write it as https://host/api"
    ))
}

/// The address of a storage, with what it cannot do without.
pub(super) fn store(text: &str) -> Result<(), String> {
    const USUAL: &str = "azure://account/container/prefix";
    let Some((scheme, rest)) = text.split_once("://") else {
        return Err(format!(
            "`url` is no address of a storage; write it as {USUAL}"
        ));
    };
    let mut parts = rest.split('/').map(|part| !part.is_empty());
    let (first, second) = (parts.next() == Some(true), parts.next() == Some(true));
    let (whole, form) = match scheme {
        "azure" => (first && second, USUAL),
        "s3" => (first, "s3://bucket/prefix"),
        "gs" => (first, "gs://bucket/prefix"),
        "file" => (true, ""),
        _ => {
            return Err(format!(
                "unknown storage scheme `{scheme}`; known are azure, s3, gs and file"
            ));
        }
    };
    if whole {
        return Ok(());
    }
    Err(format!(
        "`url` names no place in a storage; write it as {form}"
    ))
}
