//! `/docs`: a page that shows the API, from files that are part of the program. Nothing is loaded
//! from elsewhere, so it works where there is no internet.

use std::sync::{Arc, OnceLock};

use axum::extract::Path;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use utoipa_swagger_ui::Config;

use crate::problem::Problem;

fn config() -> Arc<Config<'static>> {
    static CONFIG: OnceLock<Arc<Config<'static>>> = OnceLock::new();
    CONFIG.get_or_init(|| Arc::new(Config::from("/openapi.json"))).clone()
}

/// `GET /docs`.
pub async fn index() -> Redirect {
    // With the slash, or the page would look for its files one level too high.
    Redirect::permanent("/docs/")
}

/// `GET /docs/`.
pub async fn page() -> Result<Response, Problem> {
    file("index.html")
}

/// `GET /docs/{file}`.
pub async fn asset(Path(name): Path<String>) -> Result<Response, Problem> {
    file(&name)
}

fn file(name: &str) -> Result<Response, Problem> {
    match utoipa_swagger_ui::serve(name, config()) {
        Ok(Some(f)) => {
            let kind = HeaderValue::from_str(&f.content_type).map_err(|e| Problem::internal(&e))?;
            Ok(([(header::CONTENT_TYPE, kind)], f.bytes.into_owned()).into_response())
        }
        Ok(None) => Err(Problem::not_found(format!("the page has no file {name:?}"))),
        Err(e) => Err(Problem::internal(&e)),
    }
}
