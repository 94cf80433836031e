//! What shippers made for Elasticsearch call: `_bulk`, and the questions they ask before it.
//!
//! Every answer says that it is Elasticsearch's, as the clients demand, and refusals have its form.
//! Nothing can be searched or changed here.

mod bulk;
mod filter;
mod index;
mod probes;

use axum::Router;
use axum::body::Body;
use axum::http::{HeaderName, HeaderValue, header};
use axum::middleware::map_response;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use serde_json::json;

use super::{Api, Explained, Failure, JSON, Kind};

const PRODUCT: HeaderName = HeaderName::from_static("x-elastic-product");

/// The routes, at the root of their own port or under a prefix.
pub(super) fn router() -> Router<Api> {
    let mut router = Router::new()
        .route("/", get(probes::root))
        .route("/_bulk", post(bulk::at_root).put(bulk::at_root))
        .route("/{index}/_bulk", post(bulk::at_index).put(bulk::at_index))
        .route("/_license", get(probes::license))
        .route("/_xpack", get(probes::xpack))
        .route("/_nodes", get(probes::nodes))
        .route("/_nodes/{*rest}", get(probes::nodes))
        .route("/_cluster/health", get(probes::health))
        .route("/_cluster/health/{*rest}", get(probes::health))
        .route("/_cat/health", get(probes::cat_health))
        .route("/_cat/indices", get(probes::cat_indices))
        .route("/_logstash/{*rest}", get(probes::nothing))
        .route("/_aliases", get(probes::nothing))
        .route("/_resolve/index/{*rest}", get(probes::nothing))
        .route("/{index}", get(probes::nothing).put(probes::create_index));
    // Templates, policies and pipelines have no meaning here; they are taken note of and forgotten.
    for kind in [
        "/_ilm/policy/{*rest}",
        "/_index_template/{*rest}",
        "/_template/{*rest}",
        "/_component_template/{*rest}",
        "/_data_stream/{*rest}",
        "/_ingest/pipeline/{*rest}",
    ] {
        router = router.route(kind, any(probes::acknowledge));
    }
    router
        .fallback(unknown_path)
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(finish))
}

/// What is asked for beside the prefix: its root with a slash at the end, which nesting leaves out, and the
/// health that monitors of Elasticsearch know by this path; how it stands is in the body.
pub(super) fn beside_prefix() -> Router<Api> {
    Router::new()
        .route("/es/", get(probes::root))
        .route("/_cluster/health", get(probes::health))
        .method_not_allowed_fallback(wrong_method)
        .layer(map_response(finish))
}

async fn unknown_path() -> Failure {
    let message =
        "of Elasticsearch's interface there is only _bulk here, and what shippers ask before";
    Failure::new(Kind::NotFound, message)
}

async fn wrong_method() -> Failure {
    Failure::new(
        Kind::MethodNotAllowed,
        "this path does not take this method",
    )
}

/// The type that a refusal has, where its kind says less than Elasticsearch does.
#[derive(Clone, Copy)]
struct Typed(&'static str);

/// Names the product, and writes the bodies of refusals.
async fn finish(mut response: Response) -> Response {
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        let (mut parts, _) = response.into_parts();
        let typed = parts.extensions.remove::<Typed>();
        parts.headers.insert(header::CONTENT_TYPE, JSON);
        parts.headers.remove(header::CONTENT_LENGTH);
        parts.extensions.insert(Explained);
        response = Response::from_parts(parts, Body::from(explained(&failure, typed)));
    }
    let product = HeaderValue::from_static("Elasticsearch");
    response.headers_mut().insert(PRODUCT, product);
    response
}

fn explained(failure: &Failure, typed: Option<Typed>) -> String {
    let kind = match (typed, failure.kind) {
        (Some(Typed(kind)), _) => kind,
        (None, Kind::Overloaded | Kind::RateLimited) => "es_rejected_execution_exception",
        (None, Kind::Unavailable) => "unavailable_shards_exception",
        (None, Kind::EmptyBody | Kind::InvalidBody) => "parse_exception",
        (None, Kind::InvalidArgument) => "illegal_argument_exception",
        (None, Kind::NotFound) => "resource_not_found_exception",
        (None, kind) => kind.code(),
    };
    let cause = json!({ "type": kind, "reason": failure.message });
    let status = failure.kind.status().as_u16();
    json!({
        "error": { "root_cause": [cause], "type": kind, "reason": failure.message },
        "status": status,
    })
    .to_string()
}

fn json_of(body: impl Into<Body>) -> Response {
    ([(header::CONTENT_TYPE, JSON)], body.into()).into_response()
}
