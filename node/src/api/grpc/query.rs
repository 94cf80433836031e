//! `hushlog.v1.Query`.

use std::pin::Pin;

use bytes::Bytes;
use hushlog_proto::hushlog::v1 as wire;
use hushlog_proto::hushlog::v1::query_server::Query;
use prost::Message;
use serde_json::Value as Json;
use tokio::time::Instant;
use tokio_stream::Stream;
use tonic::{Request, Response, Status};

use super::{convert, isolated};
use crate::api::http::exceptions::{Parameters, identify, never_seen, question};
use crate::api::{Answer, Api, Failure, Kind};
use crate::limits::{QUERY_BODY_BYTES_MAX, SEARCH_PAGE_BYTES, SEARCH_PAGE_ROWS};

/// The service.
pub(super) struct Service {
    api: Api,
}

impl Service {
    pub(super) fn new(api: Api) -> Self {
        Self { api }
    }
}

type Pages = Pin<Box<dyn Stream<Item = Result<wire::SearchPage, Status>> + Send>>;

#[tonic::async_trait]
impl Query for Service {
    type SearchStream = Pages;

    async fn search(
        &self,
        request: Request<wire::SearchRequest>,
    ) -> Result<Response<Pages>, Status> {
        let request = request.into_inner();
        let rows = match request.page_size as usize {
            0 => SEARCH_PAGE_ROWS,
            rows => rows.min(10 * SEARCH_PAGE_ROWS),
        };
        let body = convert::question(&request, None);
        let answer = isolated(&self.api, ask(&self.api, &body)).await?;
        let pages = tokio_stream::iter(pages(answer, rows).into_iter().map(Ok));
        Ok(Response::new(Box::pin(pages)))
    }

    async fn aggregate(
        &self,
        request: Request<wire::AggregateRequest>,
    ) -> Result<Response<wire::AggregateResponse>, Status> {
        let request = request.into_inner();
        let work = async {
            let aggregations = serde_json::from_str(&request.aggregations).map_err(|_| {
                Failure::new(
                    Kind::InvalidArgument,
                    "`aggregations` must be a JSON object",
                )
            })?;
            let search = request.search.unwrap_or_default();
            ask(&self.api, &convert::question(&search, Some(aggregations))).await
        };
        let answer = isolated(&self.api, work).await?;
        Ok(Response::new(aggregated(&answer)))
    }

    async fn top_k_exceptions(
        &self,
        request: Request<wire::TopKExceptionsRequest>,
    ) -> Result<Response<wire::TopKExceptionsResponse>, Status> {
        let work = top_k(&self.api, request.into_inner());
        isolated(&self.api, work).await.map(Response::new)
    }

    async fn get_exception(
        &self,
        request: Request<wire::GetExceptionRequest>,
    ) -> Result<Response<wire::GetExceptionResponse>, Status> {
        let work = one(&self.api, request.into_inner());
        isolated(&self.api, work).await.map(Response::new)
    }
}

async fn ask(api: &Api, body: &Json) -> Result<Json, Failure> {
    let _room = api.admit_query()?;
    let body = Bytes::from(body.to_string());
    if body.len() > QUERY_BODY_BYTES_MAX {
        return Err(Failure::new(Kind::TooLarge, "the query is too large"));
    }
    let began = Instant::now();
    let answer = api.reader.search(body, api.query_deadline()).await;
    api.query_latency("search").observe(began.elapsed());
    parse(api, answer?).await
}

async fn parse(api: &Api, answer: Answer) -> Result<Json, Failure> {
    let parsed = api
        .offload
        .run(move || serde_json::from_slice(&answer.json))
        .await?;
    parsed.map_err(|_| Failure::new(Kind::Internal, "the answer is not JSON"))
}

/// The hits in pages of so many rows at most, of no more bytes than any client takes, with what is said of all behind them.
fn pages(answer: Json, rows: usize) -> Vec<wire::SearchPage> {
    let mut pages = vec![wire::SearchPage::default()];
    let mut bytes = 0;
    for hit in convert::list(&answer, "logs").map(convert::entry) {
        let size = hit.encoded_len();
        let is_full = pages.last().is_some_and(|page| {
            page.logs.len() >= rows || !page.logs.is_empty() && bytes + size > SEARCH_PAGE_BYTES
        });
        if is_full {
            pages.push(wire::SearchPage::default());
            bytes = 0;
        }
        bytes += size;
        if let Some(page) = pages.last_mut() {
            page.logs.push(hit);
        }
    }
    if let Some(last) = pages.last_mut() {
        last.summary = Some(wire::SearchSummary {
            query_id: convert::text(&answer, "query_id"),
            total: convert::number(&answer, "total"),
            total_relation: convert::text(&answer, "total_relation"),
            next_search_after: convert::text(&answer, "next_search_after"),
            shards: convert::shards(&answer),
            partial: is_partial(&answer),
            execution_time_ms: convert::number(&answer, "execution_time_ms"),
        });
    }
    pages
}

fn aggregated(answer: &Json) -> wire::AggregateResponse {
    wire::AggregateResponse {
        total: convert::number(answer, "total"),
        total_relation: convert::text(answer, "total_relation"),
        aggregations: answer
            .get("aggregations")
            .map_or_else(|| "{}".into(), Json::to_string),
        shards: convert::shards(answer),
        partial: is_partial(answer),
        execution_time_ms: convert::number(answer, "execution_time_ms"),
    }
}

fn is_partial(answer: &Json) -> bool {
    answer
        .get("partial")
        .and_then(Json::as_bool)
        .unwrap_or_default()
}

async fn top_k(
    api: &Api,
    request: wire::TopKExceptionsRequest,
) -> Result<wire::TopKExceptionsResponse, Failure> {
    let given = |text: String| (!text.is_empty()).then_some(text);
    let parameters = Parameters {
        k: (request.k != 0).then(|| request.k.to_string()),
        window: given(request.window),
        service: given(request.service),
        environment: given(request.environment),
        end: given(request.end),
        tumbling: Some(request.tumbling.to_string()),
        group_by: given(request.group_by),
    };
    let question = question(parameters)?;
    let _room = api.admit_query()?;
    let began = Instant::now();
    let answer = api.reader.top_k(question, api.query_deadline()).await;
    api.query_latency("top_k").observe(began.elapsed());
    let answer = parse(api, answer?).await?;
    Ok(wire::TopKExceptionsResponse {
        window: convert::text(&answer, "window"),
        service: convert::text(&answer, "service"),
        start: convert::text(&answer, "start"),
        end: convert::text(&answer, "end"),
        exceptions: convert::list(&answer, "exceptions").map(count).collect(),
        shards: convert::shards(&answer),
        partial: is_partial(&answer),
        execution_time_ms: convert::number(&answer, "execution_time_ms"),
    })
}

fn count(json: &Json) -> wire::ExceptionCount {
    wire::ExceptionCount {
        exception_id: convert::text(json, "exception_id"),
        exception_type: convert::text(json, "exception_type"),
        service_name: convert::text(json, "service_name"),
        count: convert::number(json, "count"),
        count_error: convert::number(json, "count_error"),
        first_seen: convert::text(json, "first_seen"),
        last_seen: convert::text(json, "last_seen"),
        sample_log_ids: convert::texts(json, "sample_log_ids"),
    }
}

async fn one(
    api: &Api,
    request: wire::GetExceptionRequest,
) -> Result<wire::GetExceptionResponse, Failure> {
    let window = if request.window.is_empty() {
        "24h"
    } else {
        &request.window
    };
    let (id, window) = identify(&request.exception_id, window)?;
    let _room = api.admit_query()?;
    let answer = api
        .reader
        .exception(id, window, api.query_deadline())
        .await?;
    let answer = parse(api, answer.ok_or_else(never_seen)?).await?;
    let affected = answer.get("affected").cloned().unwrap_or_default();
    Ok(wire::GetExceptionResponse {
        exception: Some(wire::ExceptionCount {
            sample_log_ids: convert::list(&answer, "sample_logs")
                .map(|log| convert::text(log, "log_id"))
                .collect(),
            ..count(&answer)
        }),
        trend: convert::list(&answer, "trend")
            .map(|point| wire::TrendPoint {
                timestamp: convert::text(point, "timestamp"),
                count: convert::number(point, "count"),
            })
            .collect(),
        sample_logs: convert::list(&answer, "sample_logs")
            .map(convert::entry)
            .collect(),
        hosts: convert::texts(&affected, "hosts"),
        regions: convert::texts(&affected, "regions"),
        users: convert::texts(&affected, "users"),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn pages_end_by_rows_and_by_bytes_and_lose_no_hit() {
        let hit = |bytes: usize| json!({"log_id": "x", "message": "m".repeat(bytes)});
        let logs = [1 << 20, 1 << 19, 1 << 20, 10, 3 << 20, 10, 10, 10, 10].map(hit);
        let pages = pages(json!({"logs": logs, "total": 9}), 3);
        let sizes: Vec<_> = pages.iter().map(|page| page.logs.len()).collect();
        assert_eq!(sizes, [2, 2, 1, 3, 1]);
        let summaries = pages.iter().filter_map(|page| page.summary.as_ref());
        assert_eq!(summaries.map(|s| s.total).collect::<Vec<_>>(), [9]);
        assert!(pages[4].summary.is_some());
    }
}
