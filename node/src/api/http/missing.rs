//! Paths of the contract that this release does not serve: who calls one is told so, instead of being told
//! that something is wrong with the call.

use axum::Router;
use axum::http::Uri;
use axum::routing::{any, get};

use super::{Api, Failure, Kind};

/// The paths, whatever the method.
const PATHS: [&str; 10] = [
    "/api/v1/deletions/{id}",
    "/api/v1/fields",
    "/api/v1/fields/{name}/values",
    "/api/v1/queries",
    "/api/v1/searches",
    "/api/v1/searches/{name}",
    "/api/v1/alerts",
    "/api/v1/alerts/{id}",
    "/api/v1/alerts/{id}/history",
    "/api/v1/logs/{log_id}/raw",
];

/// Their routes.
pub(super) fn router() -> Router<Api> {
    let tail = Router::new().route("/api/v1/logs/tail", get(of_this_release));
    PATHS.into_iter().fold(tail, |router, path| {
        router.route(path, any(of_this_release))
    })
}

/// Refuses.
pub(super) async fn of_this_release(uri: Uri) -> Failure {
    let what = match uri.path() {
        "/api/v1/logs/tail" => "following logs as they come is",
        "/api/v1/logs" => "deleting records is",
        path if path.ends_with("/raw") => "showing what was masked is",
        _ => "this path is",
    };
    let message = format!("{what} not in this release; GET / lists what there is");
    Failure::new(Kind::NotImplemented, message)
}
