//! What a shard can be asked, here or on another node, and what it answers.

use hushlog_pii::Questions;
use hushlog_query::{Budget, Floors, Part, Partial, Plan, TopK, TopKPartial, View};
use hushlog_record::LogId;

const KIND_PLAN: u8 = 1;
const KIND_LOOKUP: u8 = 2;
const KIND_TOP_K: u8 = 3;

/// A question to one shard.
pub(crate) enum Question {
    /// Hits, totals and aggregations.
    Plan(Plan),
    /// One record by its id; `plan` asks for exactly that, the id chooses segments.
    Lookup {
        /// The id.
        id: LogId,
        /// The plan that finds it.
        plan: Plan,
    },
    /// Counts of exceptions.
    TopK(TopK),
}

/// The answer of one shard.
#[derive(Debug)]
pub(crate) enum Reply {
    /// To a plan or a look-up.
    Partial(Partial),
    /// To a count of exceptions.
    TopK(TopKPartial),
}

impl Question {
    /// Answers it from one shard. CPU work.
    pub(crate) fn answer(
        &self,
        mut view: View,
        budget: &Budget,
    ) -> Result<Reply, hushlog_query::Error> {
        match self {
            Self::Plan(plan) => hushlog_query::execute(plan, &view, budget).map(Reply::Partial),
            Self::Lookup { id, plan } => {
                view.segments.retain(|segment| segment.may_hold(*id));
                hushlog_query::execute(plan, &view, budget).map(Reply::Partial)
            }
            Self::TopK(request) => {
                hushlog_query::topk::top_k(request, &view, budget).map(Reply::TopK)
            }
        }
    }

    /// The parts of this view that threads, of which there are this many, can look through at the
    /// same time; one when that is not worth it.
    pub(crate) fn parts(&self, view: &View, threads: usize) -> Vec<View> {
        match self {
            Self::Plan(_) => view.split(view.threads(threads)),
            Self::Lookup { .. } | Self::TopK(_) => vec![view.clone()],
        }
    }

    /// Looks through a part. CPU work.
    pub(crate) fn scan(&self, view: View, budget: &Budget) -> Result<Part, hushlog_query::Error> {
        Part::scan(self.plan()?, view, budget)
    }

    /// Answers it from the parts of one shard. CPU work.
    pub(crate) fn unite(
        &self,
        parts: Vec<Part>,
        budget: &Budget,
    ) -> Result<Reply, hushlog_query::Error> {
        hushlog_query::unite(self.plan()?, parts, budget).map(Reply::Partial)
    }

    fn plan(&self) -> Result<&Plan, hushlog_query::Error> {
        match self {
            Self::Plan(plan) | Self::Lookup { plan, .. } => Ok(plan),
            Self::TopK(_) => Err(hushlog_query::Error::Damaged("a plan")),
        }
    }

    /// The bytes for another node: a kind, then what that kind needs.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let (kind, body) = match self {
            Self::Plan(plan) => (KIND_PLAN, plan.encode()),
            Self::Lookup { id, plan } => {
                (KIND_LOOKUP, [&id.0[..], &plan.floors().to_bytes()].concat())
            }
            Self::TopK(request) => (KIND_TOP_K, request.encode()),
        };
        let mut bytes = vec![kind];
        bytes.extend(body);
        bytes
    }

    /// Reads the bytes from another node.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let text = |error: hushlog_query::Error| error.to_string();
        match bytes.split_first() {
            Some((&KIND_PLAN, body)) => Plan::decode(body).map(Self::Plan).map_err(text),
            Some((&KIND_LOOKUP, body)) => {
                let (id, floors) = body.split_first_chunk().ok_or("the id is damaged")?;
                let mut question = Self::lookup(LogId(*id)).map_err(text)?;
                // Releases that hide nothing send the id alone.
                if !floors.is_empty() {
                    question.hide(Floors::from_bytes(floors).map_err(text)?);
                }
                Ok(question)
            }
            Some((&KIND_TOP_K, body)) => TopK::decode(body).map(Self::TopK).map_err(text),
            _ => Err("the question is of another release".into()),
        }
    }

    /// Asks for one record.
    pub(crate) fn lookup(id: LogId) -> Result<Self, hushlog_query::Error> {
        Ok(Self::Lookup {
            id,
            plan: hushlog_query::lookup_plan(id)?,
        })
    }

    /// The question with what masking has written for the values that it asks for. CPU work.
    pub(crate) fn hashed(&self, by: &Questions) -> Result<Option<Self>, hushlog_query::Error> {
        match self {
            Self::Plan(plan) => {
                let mut plan = plan.clone();
                plan.widen(|field, value| by.hashes(field, value))?;
                Ok(Some(Self::Plan(plan)))
            }
            // Ids, and counts by names that are asked for as they are stored.
            Self::Lookup { .. } | Self::TopK(_) => Ok(None),
        }
    }

    /// Hides what is older than these floors, instead of what was hidden before.
    pub(crate) fn hide(&mut self, floors: Floors) {
        match self {
            Self::Plan(plan) | Self::Lookup { plan, .. } => plan.hide(floors),
            Self::TopK(request) => request.hide(floors),
        }
    }

    /// The same question, with what these floors hide hidden too.
    pub(crate) fn beyond(&self, floors: &Floors) -> Self {
        match self {
            Self::Plan(plan) => {
                let mut plan = plan.clone();
                plan.hide(plan.floors().or(floors));
                Self::Plan(plan)
            }
            Self::Lookup { id, plan } => {
                let (id, mut plan) = (*id, plan.clone());
                plan.hide(plan.floors().or(floors));
                Self::Lookup { id, plan }
            }
            Self::TopK(request) => {
                let mut request = request.clone();
                request.hide(request.floors().or(floors));
                Self::TopK(request)
            }
        }
    }

    /// Reads a reply to this question.
    pub(crate) fn decode_reply(&self, bytes: &[u8]) -> Result<Reply, String> {
        match self {
            Self::Plan(plan) | Self::Lookup { plan, .. } => {
                Partial::decode(plan, bytes).map(Reply::Partial)
            }
            Self::TopK(_) => TopKPartial::decode(bytes).map(Reply::TopK),
        }
        .map_err(|error| error.to_string())
    }
}

impl Reply {
    /// The bytes for the coordinator.
    pub(crate) fn encode(&self) -> Vec<u8> {
        match self {
            Self::Partial(partial) => partial.encode(),
            Self::TopK(partial) => partial.encode(),
        }
    }
}

#[cfg(test)]
mod tests {
    use hushlog_record::Timestamp;

    use super::*;

    #[test]
    fn a_look_up_travels_with_what_is_hidden_and_without() {
        let id = LogId([7; 16]);
        let mut question = Question::lookup(id).expect("valid");
        let alone = [&[KIND_LOOKUP], &id.0[..]].concat();
        let own = ("a".to_owned(), Timestamp::from_nanos(70));
        question.hide(Floors::new(Timestamp::from_nanos(50), [own]));
        for (bytes, hidden) in [(question.encode(), true), (alone, false)] {
            let Ok(Question::Lookup { id: back, plan }) = Question::decode(&bytes) else {
                panic!("a look-up was encoded");
            };
            assert_eq!(back, id);
            assert_eq!(*plan.floors() != Floors::NONE, hidden);
        }
        // What a shard has lost is hidden whatever the question hides.
        let more = Floors::new(Timestamp::from_nanos(60), []);
        let Question::Lookup { plan, .. } = question.beyond(&more) else {
            panic!("it is the same question");
        };
        assert_eq!((plan.floors().of("a"), plan.floors().of("b")), (70, 60));
        let cut_short = question.encode();
        assert!(Question::decode(&cut_short[..cut_short.len() - 1]).is_err());
        assert!(Question::decode(&cut_short[..16]).is_err());
    }
}
