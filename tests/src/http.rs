//! The API over HTTPS with the system's own CA.

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;

use crate::{SECRET, System};

/// A client with a token.
#[derive(Clone)]
pub struct Http {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
}

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The status.
    pub status: u16,
    /// The headers, lower-case names.
    pub headers: Vec<(String, String)>,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|e| panic!("not JSON ({e}): {}", self.text))
    }

    /// The items of a list.
    pub fn items(&self) -> Vec<Value> {
        let body = self.json();
        body["items"].as_array().unwrap_or_else(|| panic!("{}: no items in {}", self.status, self.text)).clone()
    }

    /// Must be a problem document of this status; gives it.
    pub fn problem(&self, status: u16) -> Value {
        assert_eq!(self.status, status, "{}", self.text);
        let kind = self.header("content-type").unwrap_or_default();
        assert!(kind.starts_with("application/problem+json"), "{kind}: {}", self.text);
        let p = self.json();
        assert!(p["type"].as_str().is_some_and(|t| !t.is_empty()), "{p}");
        assert!(p["title"].as_str().is_some_and(|t| !t.is_empty()), "{p}");
        assert_eq!(p["status"], status, "{p}");
        p
    }

    /// A header.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n == name).map(|(_, v)| v.as_str())
    }
}

impl Http {
    /// Without a token.
    pub fn new(system: &System) -> Http {
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let pem = std::fs::read(system.ca()).expect("the CA");
        let cert = ureq::tls::Certificate::from_pem(&pem).expect("a certificate").to_owned();
        let tls = ureq::tls::TlsConfig::builder()
            .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
            .root_certs(ureq::tls::RootCerts::new_with_certs(&[cert]))
            .build();
        let agent = ureq::Agent::config_builder()
            .tls_config(tls)
            .http_status_as_error(false)
            .max_redirects(0)
            .timeout_global(Some(Duration::from_secs(30)))
            .build()
            .into();
        Http { agent, base: format!("https://localhost:{}", system.port("https")), token: None }
    }

    /// Logged in as a demo account.
    pub fn login(system: &System, account: &str) -> Http {
        Http::login_with(system, account, SECRET)
    }

    /// Logged in with a secret of its own.
    pub fn login_with(system: &System, account: &str, secret: &str) -> Http {
        let http = Http::new(system);
        let a = http.ask_token(account, secret);
        assert_eq!(a.status, 200, "{account}: {}", a.text);
        let token = a.json()["access_token"].as_str().expect("a token").to_owned();
        Http { token: Some(token), ..http }
    }

    /// `POST /v1/token` with name and secret.
    pub fn ask_token(&self, account: &str, secret: &str) -> Answer {
        self.form("/v1/token", &[("grant_type", "password"), ("username", account), ("password", secret)])
    }

    /// The same client with another token.
    #[must_use]
    pub fn with_token(&self, token: &str) -> Http {
        Http { token: Some(token.to_owned()), ..self.clone() }
    }

    /// Its token.
    pub fn token(&self) -> &str {
        self.token.as_deref().expect("a token")
    }

    /// GET.
    pub fn get(&self, path: &str) -> Answer {
        self.get_with(path, &[])
    }

    /// GET with headers.
    pub fn get_with(&self, path: &str, headers: &[(&str, &str)]) -> Answer {
        let mut r = self.agent.get(format!("{}{path}", self.base));
        if let Some(t) = &self.token {
            r = r.header("authorization", format!("Bearer {t}"));
        }
        for (k, v) in headers {
            r = r.header(*k, *v);
        }
        answer(r.call())
    }

    /// GET; `None` when there was no answer.
    pub fn try_get(&self, path: &str) -> Option<Answer> {
        let token = self.token.clone().unwrap_or_default();
        let r = self.agent.get(format!("{}{path}", self.base)).header("authorization", format!("Bearer {token}"));
        r.call().ok().map(|r| answer(Ok(r)))
    }

    /// A new token, if it can be had.
    pub fn try_login(&mut self, account: &str) -> bool {
        let form = [("grant_type", "password"), ("username", account), ("password", SECRET)];
        let Ok(r) = self.agent.post(format!("{}/v1/token", self.base)).send_form(form) else { return false };
        let a = answer(Ok(r));
        if a.status == 200 {
            self.token = a.json()["access_token"].as_str().map(str::to_owned);
        }
        a.status == 200
    }

    /// POST of a form.
    pub fn form(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        answer(self.agent.post(format!("{}{path}", self.base)).send_form(fields.iter().copied()))
    }

    /// All items of a list, following `Link: rel="next"`.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let mut out = Vec::new();
        let mut next = Some(path.to_owned());
        while let Some(path) = next {
            let a = self.get(&path);
            assert_eq!(a.status, 200, "{path}: {}", a.text);
            out.extend(a.items());
            let link = a.header("link").and_then(next_link).map(str::to_owned);
            assert_eq!(link.is_some(), !a.json()["next"].is_null(), "Link and next say the same: {path}");
            next = link.map(|l| l.strip_prefix(&self.base).unwrap_or(&l).to_owned());
        }
        out
    }

    /// GET until the answer satisfies `ok`, at most 20 s: for what follows a command without a
    /// position to wait for.
    pub fn eventually(&self, path: &str, ok: impl Fn(&Answer) -> bool) -> Answer {
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        loop {
            let a = self.get(path);
            if ok(&a) {
                return a;
            }
            assert!(std::time::Instant::now() < deadline, "{path} never became as expected: {} {}", a.status, a.text);
            std::thread::yield_now();
        }
    }
}

fn next_link(header: &str) -> Option<&str> {
    let one = header.split(',').find(|l| l.contains("rel=\"next\""))?;
    one.trim().strip_prefix('<')?.split_once('>').map(|(url, _)| url)
}

fn answer(r: Result<ureq::http::Response<ureq::Body>, ureq::Error>) -> Answer {
    let mut r = r.unwrap_or_else(|e| panic!("no answer: {e}"));
    let headers = r
        .headers()
        .iter()
        .map(|(k, v)| (k.as_str().to_ascii_lowercase(), String::from_utf8_lossy(v.as_bytes()).into_owned()))
        .collect();
    let status = r.status().as_u16();
    let text = r.body_mut().read_to_string().unwrap_or_default();
    Answer { status, headers, text }
}
