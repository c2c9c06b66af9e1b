//! What a registry answers to a request without credentials: the `WWW-Authenticate` header.
//!
//! Sources: [RFC 9110, section 11.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-11.6.1), and the
//! [token specification](https://distribution.github.io/distribution/spec/auth/token/) of the distribution project.

use std::iter::Peekable;
use std::str::Chars;

use reqwest::header::{HeaderMap, WWW_AUTHENTICATE};
use url::Url;

/// How a registry wants to know who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// User name and password with every request.
    Basic,
    /// A token that another server gives.
    Bearer {
        /// The token server.
        realm: Url,
        /// What the registry is called there.
        service: Option<String>,
        /// The scopes that the request would have needed.
        scopes: Vec<String>,
    },
}

impl Challenge {
    /// The best way that an answer offers: a token before a password. `None` where it offers none that we know.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let offers = headers
            .get_all(WWW_AUTHENTICATE)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(offers);
        let mut basic = None;
        for offer in offers {
            if offer.scheme.eq_ignore_ascii_case("basic") {
                basic = Some(Self::Basic);
            } else if offer.scheme.eq_ignore_ascii_case("bearer")
                && let Some(realm) = offer.get("realm").and_then(|url| Url::parse(url).ok())
            {
                let scopes = offer.get("scope").unwrap_or_default();
                return Some(Self::Bearer {
                    realm,
                    service: offer.get("service").map(str::to_owned),
                    scopes: scopes.split_ascii_whitespace().map(str::to_owned).collect(),
                });
            }
        }
        basic
    }
}

/// One challenge of a header.
#[derive(Debug, Default)]
struct Offer {
    scheme: String,
    parameters: Vec<(String, String)>,
}

impl Offer {
    fn get(&self, wanted: &str) -> Option<&str> {
        self.parameters
            .iter()
            .find(|(name, _)| name.eq_ignore_ascii_case(wanted))
            .map(|(_, value)| value.as_str())
    }
}

/// Takes a header apart. A comma parts both challenges and parameters; a word without `=` after it begins a challenge.
fn offers(header: &str) -> Vec<Offer> {
    let mut found: Vec<Offer> = Vec::new();
    let mut rest = header.chars().peekable();
    loop {
        while rest
            .next_if(|one| *one == ',' || one.is_whitespace())
            .is_some()
        {}
        let word = word(&mut rest);
        if word.is_empty() {
            // The end, or what no challenge can begin with.
            return found;
        }
        while rest.next_if(|one| one.is_whitespace()).is_some() {}
        if rest.next_if_eq(&'=').is_none() {
            found.push(Offer {
                scheme: word,
                ..Offer::default()
            });
            continue;
        }
        let value = value(&mut rest);
        if let Some(last) = found.last_mut() {
            last.parameters.push((word, value));
        }
    }
}

fn word(rest: &mut Peekable<Chars<'_>>) -> String {
    let mut word = String::new();
    while let Some(one) =
        rest.next_if(|one| !matches!(one, ',' | '=' | '"') && !one.is_whitespace())
    {
        word.push(one);
    }
    word
}

/// A word, or a quoted text in which a backslash takes the next character as it is.
fn value(rest: &mut Peekable<Chars<'_>>) -> String {
    while rest.next_if(|one| one.is_whitespace()).is_some() {}
    if rest.next_if_eq(&'"').is_none() {
        return word(rest);
    }
    let mut text = String::new();
    while let Some(one) = rest.next() {
        match one {
            '"' => break,
            '\\' => text.extend(rest.next()),
            other => text.push(other),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use reqwest::header::HeaderValue;

    use super::*;

    fn challenge(lines: &[&'static str]) -> Option<Challenge> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(WWW_AUTHENTICATE, HeaderValue::from_static(line));
        }
        Challenge::of(&headers)
    }

    fn bearer(realm: &str, service: Option<&str>, scopes: &[&str]) -> Option<Challenge> {
        Some(Challenge::Bearer {
            realm: Url::parse(realm).expect("a URL"),
            service: service.map(str::to_owned),
            scopes: scopes.iter().map(ToString::to_string).collect(),
        })
    }

    #[test]
    fn what_registries_send_is_read() {
        let hub = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:acme/x:pull,push",error="insufficient_scope""#;
        assert_eq!(
            challenge(&[hub]),
            bearer(
                "https://auth.docker.io/token",
                Some("registry.docker.io"),
                &["repository:acme/x:pull,push"]
            )
        );
        let spaced = r#"bearer  realm = "https://a/b?c=d" , scope="x:y:pull z:w:pull""#;
        assert_eq!(
            challenge(&[spaced]),
            bearer("https://a/b?c=d", None, &["x:y:pull", "z:w:pull"])
        );
        let basic = r#"Basic realm="say \"hi\", then go""#;
        assert_eq!(challenge(&[basic]), Some(Challenge::Basic));
        assert_eq!(challenge(&["BASIC"]), Some(Challenge::Basic));
    }

    #[test]
    fn a_token_is_better_than_a_password() {
        let expected = bearer("https://a/t", Some("s"), &[]);
        let one = r#"Basic realm="r", Bearer realm="https://a/t",service=s"#;
        assert_eq!(challenge(&[one]), expected);
        let two = [r#"Bearer realm="https://a/t",service="s""#, "Basic realm=r"];
        assert_eq!(challenge(&two), expected);
        // Without a token server there is only the password.
        let broken = [r#"Bearer realm="not a URL""#, "Basic realm=r"];
        assert_eq!(challenge(&broken), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_unknown_or_broken_is_no_challenge() {
        for line in [
            "",
            "Negotiate",
            "Bearer",
            "Bearer realm=",
            "=,=",
            "\"",
            ",,,",
            "Digest a=\"",
        ] {
            assert_eq!(challenge(&[line]), None, "{line}");
        }
        assert_eq!(challenge(&[]), None);
    }
}
