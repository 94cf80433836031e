//! `docs/openapi.yaml` and the routes say the same: it is well-formed, every path and method in it is served,
//! and it has every path of the front page.

use super::*;

const METHODS: [&str; 4] = ["get", "post", "put", "delete"];
/// Members that a response has by OpenAPI 3.1; a comma without quotes in a description makes others.
const OF_RESPONSES: [&str; 4] = ["$ref", "content", "description", "headers"];

fn file() -> Value {
    serde_saphyr::from_str(include_str!("../../../../../docs/openapi.yaml"))
        .expect("YAML without a member twice")
}

/// Every path with its method and what is said of it.
fn operations(file: &Value) -> Vec<(&str, &str, &Value)> {
    let paths = file["paths"].as_object().expect("paths");
    let mut all = Vec::new();
    for (path, item) in paths {
        for method in METHODS {
            if item[method].is_object() {
                all.push((path.as_str(), method, &item[method]));
            }
        }
    }
    all
}

/// The path with something at the places of its parameters.
fn filled(path: &str) -> String {
    let parts = path.split('/').map(|part| match part {
        "{log_id}" => "019cb700-0000-7000-8000-000000000000",
        "{exception_id}" => "0123456789abcdef",
        part if part.starts_with('{') => "1",
        part => part,
    });
    parts.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_path_that_is_described_is_served() {
    let file = file();
    let operations = operations(&file);
    assert!(operations.len() > 50, "{}", operations.len());
    for (path, method, operation) in operations {
        let request = Request::builder()
            .method(method.to_uppercase().as_str())
            .uri(filled(path))
            .body(Body::empty())
            .expect("a request");
        let got = router(api(Fake::default(), 1 << 20))
            .oneshot(request)
            .await
            .expect("infallible");
        let status = got.status();
        let bytes = got.into_body().collect().await.expect("a body").to_bytes();
        let text = String::from_utf8_lossy(&bytes);
        assert!(
            status != StatusCode::METHOD_NOT_ALLOWED && !text.contains("there is nothing at"),
            "{method} {path}: {status} {text}"
        );
        let is_reserved = operation["responses"]["501"].is_object();
        assert_eq!(
            status == StatusCode::NOT_IMPLEMENTED,
            is_reserved,
            "{method} {path}"
        );
    }
}

#[test]
fn every_path_of_the_front_page_is_described() {
    let file = file();
    let described = operations(&file);
    for (method, path, _) in super::super::root::PATHS {
        let is_it = |(known, verb, _): &(&str, &str, &Value)| {
            *known == path && verb.eq_ignore_ascii_case(method)
        };
        assert!(described.iter().any(is_it), "{method} {path}");
    }
}

#[test]
fn responses_have_no_members_but_those_of_openapi() {
    let file = file();
    for (path, method, operation) in operations(&file) {
        for (status, response) in operation["responses"].as_object().expect("responses") {
            for member in response.as_object().expect("a response").keys() {
                let known = OF_RESPONSES.contains(&member.as_str());
                assert!(known, "{method} {path} {status}: {member}");
            }
        }
    }
}
