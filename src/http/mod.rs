//! Metrics and health over HTTP: `/metrics`, `/healthz`, `/readyz`.

mod readiness;
#[cfg(test)]
mod tests;

use axum::{
    Json, Router,
    extract::{Request, State},
    http::{StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use serde_json::json;
use subtle::ConstantTimeEq;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::{config::Secret, metrics::Metrics};

pub use readiness::{NotReady, Readiness};

/// What the pages are made from.
#[derive(Debug, Clone)]
pub struct HttpState {
    pub metrics: Metrics,
    pub readiness: Readiness,
    /// Empty: no token is asked for.
    pub token: Secret,
}

/// Serves until `shutdown`, then ends the requests that are being answered.
///
/// # Errors
/// When the listener fails.
pub async fn run(
    listener: TcpListener,
    state: HttpState,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    axum::serve(listener, router(state)).with_graceful_shutdown(shutdown.cancelled_owned()).await
}

/// The pages. `/healthz` alone asks for no token: it says nothing but that the process answers.
pub fn router(state: HttpState) -> Router {
    Router::new()
        .route("/", get(index))
        .route("/metrics", get(metrics))
        .route("/readyz", get(readyz))
        .layer(middleware::from_fn_with_state(state.clone(), require_token))
        .route("/healthz", get(async || "ok\n"))
        .with_state(state)
}

async fn index() -> &'static str {
    "sidetone: /metrics /healthz /readyz\n"
}

async fn metrics(State(state): State<HttpState>) -> Response {
    match state.metrics.render() {
        Ok(text) => ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT)], text).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, format!("{error}\n")).into_response(),
    }
}

async fn readyz(State(state): State<HttpState>) -> Response {
    let reasons: Vec<_> = state
        .readiness
        .missing()
        .into_iter()
        .map(|why| json!({ "what": why, "means": why.means() }))
        .collect();
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(json!({ "ready": reasons.is_empty(), "reasons": reasons }))).into_response()
}

async fn require_token(State(state): State<HttpState>, request: Request, next: Next) -> Response {
    let wanted = state.token.reveal();
    if wanted.is_empty() || bearer(&request).is_some_and(|given| same(given, wanted)) {
        return next.run(request).await;
    }
    let challenge = [(header::WWW_AUTHENTICATE, "Bearer")];
    (StatusCode::UNAUTHORIZED, challenge, "send `Authorization: Bearer TOKEN` (http.token)\n").into_response()
}

fn bearer(request: &Request) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Takes as long for a near miss as for a far one.
fn same(given: &str, wanted: &str) -> bool {
    given.as_bytes().ct_eq(wanted.as_bytes()).into()
}
