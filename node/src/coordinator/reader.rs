//! The coordinator as the APIs see it: JSON in, JSON out.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use hushlog_query::exception::{self, Seen};
use hushlog_query::position::Order;
use hushlog_query::request::Consistency;
use hushlog_query::topk::{self, Params, TopKPartial};
use hushlog_query::{Envelope, Hit, Lease, Partial, Plan, Shards, TopK, hit};
use hushlog_record::{ExceptionId, LogId};
use serde_json::json;
use tokio::time::Instant;

use super::Coordinator;
use super::paid::sent;
use crate::api::{self, Answer, Reader};
use crate::cluster::execute::leader_deadline;
use crate::cluster::question::{Question, Reply};
use crate::error::{Failure, Kind};

/// A window up to this is taken however short records are kept: who names none asks for a day.
const WINDOW_TAKEN: Duration = Duration::from_secs(86_400);

pub(super) fn refused(error: &hushlog_query::Error) -> Failure {
    let kind = match error {
        hushlog_query::Error::Query(_) => Kind::InvalidQuery,
        hushlog_query::Error::Busy => Kind::Overloaded,
        hushlog_query::Error::Timeout | hushlog_query::Error::Cancelled => Kind::DeadlineExceeded,
        hushlog_query::Error::Damaged(_) | hushlog_query::Error::Data(_) => Kind::Internal,
        _ => Kind::InvalidArgument,
    };
    let failure = Failure::new(kind, error.to_string());
    match error {
        hushlog_query::Error::Query(error) => failure.at(error.position),
        _ => failure,
    }
}

fn incomplete(shards: &Shards) -> Failure {
    let message = format!(
        "{} of {} shards did not answer; try again in a moment",
        shards.failed, shards.total
    );
    Failure::new(Kind::Incomplete, message)
}

fn partials(replies: Vec<Reply>) -> Vec<Partial> {
    let partial = |reply| match reply {
        Reply::Partial(partial) => Some(partial),
        Reply::TopK(_) => None,
    };
    replies.into_iter().filter_map(partial).collect()
}

fn counts(replies: Vec<Reply>) -> Vec<TopKPartial> {
    let count = |reply| match reply {
        Reply::TopK(partial) => Some(partial),
        Reply::Partial(_) => None,
    };
    replies.into_iter().filter_map(count).collect()
}

fn millis(started: Instant) -> u64 {
    u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX)
}

/// A plan and the merged answer to it.
struct Merged {
    answer: hushlog_query::Answer,
    shards: Shards,
    /// Room for the answer.
    room: Lease,
}

/// A record that was looked up.
struct Found {
    hit: Hit,
    /// Room for it.
    room: Lease,
}

impl Coordinator {
    async fn ask(
        &self,
        plan: Plan,
        consistency: Consistency,
        deadline: Instant,
    ) -> Result<Merged, Failure> {
        let (gathered, question) = self
            .gather(Question::Plan(plan), consistency, deadline)
            .await?;
        let (shards, room) = (gathered.shards, gathered.room);
        let merged = self.offload.run(move || match &*question {
            Question::Plan(plan) => hushlog_query::merge(plan, partials(gathered.replies)),
            Question::Lookup { .. } | Question::TopK(_) => {
                Err(hushlog_query::Error::Damaged("a plan"))
            }
        });
        let answer = merged.await?.map_err(|error| refused(&error))?;
        Ok(Merged {
            answer,
            shards,
            room,
        })
    }

    async fn search_for(&self, body: Bytes, mut deadline: Instant) -> Result<Answer, Failure> {
        let started = Instant::now();
        let plan = Plan::new(&body, self.clock.now()).map_err(|error| refused(&error))?;
        if let Some(timeout) = plan.request.timeout_ms {
            deadline = deadline.min(started + Duration::from_millis(timeout));
        }
        let (consistency, allow_partial) = (plan.request.consistency, plan.request.allow_partial);
        let merged = self.ask(plan, consistency, deadline).await?;
        let shards = merged.shards;
        let partial = shards.is_partial();
        if partial && !allow_partial {
            return Err(incomplete(&shards));
        }
        let query_id = self.query_id();
        let (answer, room) = (merged.answer, merged.room);
        let render = move || {
            let envelope = Envelope {
                query_id,
                shards,
                execution_time_ms: millis(started),
            };
            answer.json(&envelope)
        };
        Ok(Answer {
            json: sent(self.offload.run(render).await?, [room]),
            partial,
        })
    }

    /// The record with this id, wherever it is.
    async fn find(&self, id: LogId, deadline: Instant) -> Result<Option<Found>, Failure> {
        let question = Question::lookup(id).map_err(|error| refused(&error))?;
        let gathered = self
            .gather(question, Consistency::Committed, deadline)
            .await;
        let (gathered, _) = gathered?;
        let room = gathered.room;
        let hits = partials(gathered.replies)
            .into_iter()
            .flat_map(|partial| partial.hits);
        match hits.min_by_key(|hit| hit.position) {
            Some(hit) => Ok(Some(Found { hit, room })),
            None if gathered.shards.is_partial() => Err(incomplete(&gathered.shards)),
            None => Ok(None),
        }
    }

    async fn context_of(
        &self,
        id: LogId,
        before: u32,
        after: u32,
        deadline: Instant,
    ) -> Result<Option<Answer>, Failure> {
        let started = Instant::now();
        let Some(Found { hit: found, room }) = self.find(id, deadline).await? else {
            return Ok(None);
        };
        let (earlier, later) = tokio::try_join!(
            self.neighbours(&found, Order::Descending, before, deadline),
            self.neighbours(&found, Order::Ascending, after, deadline),
        )?;
        let logs = |hits: &[Hit]| hits.iter().map(log).collect::<Vec<_>>();
        let mut earlier_logs = logs(&earlier.answer.hits);
        earlier_logs.reverse();
        let partial = earlier.shards.is_partial() || later.shards.is_partial();
        let shards = if earlier.shards.is_partial() {
            earlier.shards
        } else {
            later.shards
        };
        let body = format!(
            "{{\"before\":[{}],\"log\":{},\"after\":[{}],\"shards\":{},\"partial\":{partial},\"execution_time_ms\":{}}}",
            earlier_logs.join(","),
            log(&found),
            logs(&later.answer.hits).join(","),
            shards.json(),
            millis(started)
        );
        let rooms = [room, earlier.room, later.room];
        Ok(Some(Answer {
            json: sent(body, rooms),
            partial,
        }))
    }

    /// Records of the same service and host on one side of a hit, the nearest first.
    async fn neighbours(
        &self,
        hit: &Hit,
        order: Order,
        count: u32,
        deadline: Instant,
    ) -> Result<Merged, Failure> {
        let record = &hit.record;
        let mut filters = json!({"services": [record.service_name]});
        if !record.host.is_empty()
            && let Some(filters) = filters.as_object_mut()
        {
            filters.insert("fields".into(), json!({"host": record.host}));
        }
        let direction = if order == Order::Ascending {
            "asc"
        } else {
            "desc"
        };
        let body = json!({
            "filters": filters,
            "sort": {"field": "timestamp", "order": direction},
            "limit": count,
            "search_after": hit.position.token(order),
        });
        let plan = Plan::new(body.to_string().as_bytes(), self.clock.now());
        let plan = plan.map_err(|error| refused(&error))?;
        self.ask(plan, Consistency::Committed, deadline).await
    }

    async fn top_k_of(&self, asked: api::TopK, deadline: Instant) -> Result<Answer, Failure> {
        let started = Instant::now();
        self.check_window(asked.duration, deadline).await?;
        let params = Params {
            k: Some(asked.k.into()),
            window: Some(asked.window),
            service: asked.service,
            environment: asked.environment,
            end: asked.end.map(|end| end.to_string()),
            tumbling: asked.tumbling,
            group_by: asked.fold_services.then(|| "type".to_owned()),
        };
        let request = TopK::new(params, self.clock.now()).map_err(|error| refused(&error))?;
        let question = Question::TopK(request.clone());
        let gathered = self
            .gather(question, Consistency::Committed, deadline)
            .await;
        let (gathered, _) = gathered?;
        // Every rule that was acknowledged before is known by now.
        self.within_retention(asked.duration)?;
        let (shards, room) = (gathered.shards, gathered.room);
        let counts = counts(gathered.replies);
        let partial = shards.is_partial();
        let render = move || topk::render(&request, &counts, &shards, millis(started));
        let json = sent(self.offload.run(render).await?, [room]);
        Ok(Answer { json, partial })
    }

    async fn exception_of(
        &self,
        id: ExceptionId,
        window: Duration,
        deadline: Instant,
    ) -> Result<Option<Answer>, Failure> {
        self.check_window(window, deadline).await?;
        let now = self.clock.now();
        let text = format!("{}s", window.as_secs());
        let ask = async |plan: Result<Plan, hushlog_query::Error>| {
            let plan = plan.map_err(|error| refused(&error))?;
            let asked = plan.time;
            let merged = self.ask(plan, Consistency::Committed, deadline).await?;
            Ok::<_, Failure>((asked, merged))
        };
        let (mut asked, mut found) = ask(exception::plan(id, Some(&text), now)).await?;
        self.within_retention(window)?;
        let mut partial = found.shards.is_partial();
        let in_window = !found.answer.hits.is_empty();
        if !in_window {
            // It may have been seen before the window.
            let missing = found.shards;
            (asked, found) = ask(exception::plan_ever(id, now)).await?;
            if found.answer.hits.is_empty() {
                // Only when every shard has answered was it never seen.
                return match [&found.shards, &missing]
                    .into_iter()
                    .find(|s| s.is_partial())
                {
                    Some(shards) => Err(incomplete(shards)),
                    None => Ok(None),
                };
            }
            partial |= found.shards.is_partial();
        }
        let first = exception::plan_first(id, asked, &found.answer, now);
        let first = match first.map_err(|error| refused(&error))? {
            Some(plan) => Some(ask(Ok(plan)).await?.1),
            None => None,
        };
        partial |= first
            .as_ref()
            .is_some_and(|first| first.shards.is_partial());
        let seen = Seen {
            answer: &found.answer,
            in_window,
            first: first.as_ref().map(|first| &first.answer),
        };
        let json = exception::render(id, &seen);
        Ok(json.map(|json| Answer {
            json: sent(json, [found.room]),
            partial,
        }))
    }

    /// Refuses a window that is longer than anybody's records are kept.
    async fn check_window(&self, window: Duration, deadline: Instant) -> Result<(), Failure> {
        if self.within_retention(window).is_ok() {
            return Ok(());
        }
        // A longer retention may have been acknowledged that this node has not heard of.
        let is_current = self.map_barrier(leader_deadline(deadline)).await;
        match self.within_retention(window) {
            Err(_) if !is_current => {
                let message = "whether records are kept for as long as the window is not known: \
                    the meta group has no majority; try again in a moment";
                Err(Failure::new(Kind::Unavailable, message))
            }
            known => known,
        }
    }

    /// The same, by the rules that this node knows.
    fn within_retention(&self, window: Duration) -> Result<(), Failure> {
        let longest = self.cluster.periods().longest().max(WINDOW_TAKEN);
        if window <= longest {
            return Ok(());
        }
        let hours = longest.as_secs() / 3_600;
        let kept = match (hours / 24, hours % 24) {
            (days, 0) => format!("{days}d"),
            _ => format!("{hours}h"),
        };
        let message = format!(
            "the window is longer than any records are kept: at most {kept} with the retention that is set"
        );
        Err(Failure::new(Kind::InvalidArgument, message))
    }
}

fn log(hit: &Hit) -> String {
    let mut out = String::new();
    hit::write_json(&hit.record, &mut out);
    out
}

impl Reader for Coordinator {
    fn search(&self, body: Bytes, deadline: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(self.search_for(body, deadline))
    }

    fn count_all(&self, body: Bytes, deadline: Instant) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(async move {
            let all = Self {
                sees_all: true,
                ..self.clone()
            };
            all.search_for(body, deadline).await
        })
    }

    fn get(&self, id: LogId, deadline: Instant) -> BoxFuture<'_, Result<Option<Bytes>, Failure>> {
        Box::pin(async move {
            let found = self.find(id, deadline).await?;
            Ok(found.map(|Found { hit, room }| sent(log(&hit), [room])))
        })
    }

    fn context(
        &self,
        id: LogId,
        before: u32,
        after: u32,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(self.context_of(id, before, after, deadline))
    }

    fn top_k(
        &self,
        question: api::TopK,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Answer, Failure>> {
        Box::pin(self.top_k_of(question, deadline))
    }

    fn exception(
        &self,
        id: ExceptionId,
        window: Duration,
        deadline: Instant,
    ) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        Box::pin(self.exception_of(id, window, deadline))
    }
}
