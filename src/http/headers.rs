//! What `http_server_config.headers` of the web configuration adds to every answer.

use axum::body::Body;
use axum::extract::{Request, State as Extract};
use axum::http::{HeaderName, HeaderValue, Response};
use axum::middleware::Next;

use super::State;

pub(super) async fn add(Extract(state): Extract<State>, request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    for (name, value) in &state.live.current().headers {
        // Values were checked when they were read.
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(HeaderName::from_static(name), value);
        }
    }
    response
}
