//! A request as people may see it.
//!
//! # Invariants
//! - Pure. No secret is read, and none is shown: the value of a header that may be one is `***`.

use std::collections::BTreeMap;

use reqwest::header::{ACCEPT, CONTENT_TYPE, HeaderName};
use url::Url;

use super::{Config, Method, Sign, StepRequest};

const SECRET: &str = "***";

impl Config {
    /// A URL of this destination as it may be shown.
    pub fn shown(&self, url: &Url) -> String {
        let own = self.url.path();
        let path = match url.path().strip_prefix(own.trim_end_matches('/')) {
            Some(rest) if self.hides_path && own != "/" => format!("/***{rest}"),
            _ => url.path().to_owned(),
        };
        // A step's query is made of templates, which hold no secret.
        let query = match url.query() {
            None => String::new(),
            query if query == self.url.query() => "?***".to_owned(),
            Some(query) => format!("?{query}"),
        };
        let host = url.host_str().unwrap_or_default();
        let port = url.port().map(|port| format!(":{port}"));
        let scheme = url.scheme();
        format!("{scheme}://{host}{}{path}{query}", port.unwrap_or_default())
    }

    /// The headers of a request as they may be shown, by their names: that of a step, or of the
    /// event form. What is set for each try and each relay is left out.
    pub fn shown_headers(&self, key: &str, step: Option<&StepRequest>) -> Vec<(String, String)> {
        let mut shown: BTreeMap<String, String> = BTreeMap::new();
        let mut show = |name: &HeaderName, value: &str| {
            shown.insert(name.to_string(), value.to_owned());
        };
        let content_type = match step {
            None => Some("application/json"),
            Some(step) => step.content_type.as_deref(),
        };
        if let Some(content_type) = content_type {
            show(&CONTENT_TYPE, content_type);
        }
        if step.is_some() {
            show(&ACCEPT, "application/json");
        }
        let signs = self.sign.iter().flat_map(Sign::names);
        // With any text there is a header, and only its name is wanted.
        let auth = self.auth.header(SECRET).ok().flatten();
        let own = self.headers.iter().map(|header| header.name.clone());
        for name in own.chain(auth.map(|(name, _)| name)).chain(signs) {
            show(&name, SECRET);
        }
        for header in step.iter().flat_map(|step| &step.headers) {
            let value = header.value.to_str().ok();
            let value = value.filter(|_| !header.value.is_sensitive());
            show(&header.name, value.unwrap_or(SECRET));
        }
        if step.is_none_or(|step| step.method != Method::Get) {
            for name in ["idempotency-key", "webhook-id"] {
                show(&HeaderName::from_static(name), key);
            }
        }
        shown.into_iter().collect()
    }
}
