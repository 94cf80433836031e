//! A request made ready for shards, and the bytes in which it travels to them.
//!
//! A plan travels as the request it was made of, together with what now was: whoever reads it parses
//! it again, so no syntax tree has a wire form.

use hushlog_record::Timestamp;

use crate::codec::{Reader, Writer};
use crate::field::Field;
use crate::floors::{Cut, Floors};
use crate::language::{Expr, Leaf, Scalar, Target, Test};
use crate::standin::StandIns;
use crate::{Error, Request};

/// Version of the encoding: then now (8 bytes, big-endian), the floors, what stands for values, and the request
/// as JSON. Written only where something stands for a value.
const VERSION: u8 = 3;
/// The same without what stands for values.
const VERSION_WITHOUT_STAND_INS: u8 = 2;
/// The same without floors; still read.
const VERSION_WITHOUT_FLOORS: u8 = 1;

/// A request made ready for shards.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked.
    pub request: Request,
    /// Only records between these event times, both included, can match and be seen.
    pub time: Interval,
    /// What must be true besides.
    pub rest: Expr,
    /// The event times that are asked for, hidden or not.
    asked: Interval,
    /// The part of `time` in which nothing is hidden.
    clear: Interval,
    floors: Floors,
    stand_ins: StandIns,
    now: Timestamp,
    source: Vec<u8>,
}

/// A span of event time, both ends included, in nanoseconds since the Unix epoch. Empty when the
/// last lies before the first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Interval {
    /// First nanosecond.
    pub first: i64,
    /// Last nanosecond.
    pub last: i64,
}

impl Interval {
    /// All times.
    pub const ALL: Self = Self {
        first: i64::MIN,
        last: i64::MAX,
    };

    /// No time.
    pub const NONE: Self = Self { first: 0, last: -1 };

    /// Whether it holds no time.
    pub const fn is_empty(self) -> bool {
        self.first > self.last
    }

    /// The times in both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            first: self.first.max(other.first),
            last: self.last.min(other.last),
        }
    }

    /// Whether it holds a time between these two, both included.
    pub fn overlaps(self, min: Timestamp, max: Timestamp) -> bool {
        !self
            .and(Self {
                first: min.nanos(),
                last: max.nanos(),
            })
            .is_empty()
    }

    /// Whether it holds all times between these two, both included.
    pub const fn covers(self, min: Timestamp, max: Timestamp) -> bool {
        self.first <= min.nanos() && max.nanos() <= self.last
    }
}

impl Plan {
    /// Plans the request in this JSON body. `now` is what relative times count from.
    ///
    /// # Errors
    /// The request is refused; see [`Request::parse`].
    pub fn new(json: &[u8], now: Timestamp) -> Result<Self, Error> {
        let request = Request::parse(json, now)?;
        let mut time = Interval::ALL;
        let mut rest = Vec::new();
        for part in request.expr.clone().conjuncts() {
            match part {
                Expr::Leaf(Leaf {
                    target: Target::Field(Field::Timestamp),
                    test: Test::Time { first, last },
                }) => time = time.and(Interval { first, last }),
                part => rest.push(part),
            }
        }
        if request.expr.is_nothing() {
            time = Interval::NONE;
        }
        Ok(Self {
            request,
            time,
            rest: Expr::and(rest),
            asked: time,
            clear: time,
            floors: Floors::NONE,
            stand_ins: StandIns::default(),
            now,
            source: json.to_vec(),
        })
    }

    /// Hides what is older than these floors, instead of what was hidden before.
    pub fn hide(&mut self, floors: Floors) {
        let cut = floors.cut(self.asked, self.services());
        (self.time, self.clear, self.floors) = (cut.time, cut.clear, floors);
    }

    /// Asks for what stands in records for the values that are asked for, too, instead of what did before: `find`
    /// is given the name of the custom field, if it is one's, and the value. CPU work.
    ///
    /// # Errors
    /// [`Error::Request`] when there is more than a question may ask for.
    pub fn widen(
        &mut self,
        find: impl FnMut(Option<&str>, &str) -> Vec<String>,
    ) -> Result<(), Error> {
        let asked = Request::parse(&self.source, self.now)?;
        let stand_ins = StandIns::of(&asked.expr, find)?;
        if stand_ins != self.stand_ins {
            self.stand_by(stand_ins)?;
        }
        Ok(())
    }

    fn stand_by(&mut self, stand_ins: StandIns) -> Result<(), Error> {
        let mut plan = Self::new(&self.source, self.now)?;
        plan.rest = stand_ins.widen(plan.rest);
        plan.request.expr = stand_ins.widen(plan.request.expr);
        plan.stand_ins = stand_ins;
        plan.hide(self.floors.clone());
        *self = plan;
        Ok(())
    }

    /// The oldest event times that are seen.
    pub const fn floors(&self) -> &Floors {
        &self.floors
    }

    /// What is hidden of what is asked for.
    pub(crate) const fn cut(&self) -> Cut {
        Cut {
            time: self.time,
            clear: self.clear,
        }
    }

    /// The only services that can match, letter by letter; `None` if any may.
    pub fn services(&self) -> Option<Vec<&str>> {
        let parts = match &self.rest {
            Expr::And(parts) => parts.as_slice(),
            other => std::slice::from_ref(other),
        };
        parts.iter().find_map(|part| match part {
            Expr::Leaf(Leaf {
                target: Target::Field(Field::Service),
                test: Test::Equal(values),
            }) => {
                let names = values.iter().map(|value| match value {
                    Scalar::Text(name) => Some(name.as_str()),
                    Scalar::Number(_) | Scalar::Bool(_) => None,
                });
                names.collect()
            }
            _ => None,
        })
    }

    /// The bytes for another node.
    pub fn encode(&self) -> Vec<u8> {
        let mut into = Writer::default();
        let is_plain = self.stand_ins.is_empty();
        into.byte(if is_plain {
            VERSION_WITHOUT_STAND_INS
        } else {
            VERSION
        });
        into.raw(&self.now.nanos().to_be_bytes());
        self.floors.encode(&mut into);
        if !is_plain {
            self.stand_ins.encode(&mut into);
        }
        into.raw(&self.source);
        into.bytes
    }

    /// Reads the bytes from another node.
    ///
    /// # Errors
    /// [`Error::Damaged`], or the request is refused.
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        let damaged = |_| Error::Damaged("a query plan");
        let mut from = Reader::new(bytes);
        let version = from.byte().map_err(damaged)?;
        let now = from.array().map_err(damaged)?;
        let floors = match version {
            VERSION | VERSION_WITHOUT_STAND_INS => Floors::decode(&mut from).map_err(damaged)?,
            VERSION_WITHOUT_FLOORS => Floors::NONE,
            _ => return Err(Error::Damaged("a query plan")),
        };
        let stand_ins = match version {
            VERSION => StandIns::decode(&mut from).map_err(damaged)?,
            _ => StandIns::default(),
        };
        let now = Timestamp::from_nanos(i64::from_be_bytes(now));
        let mut plan = Self::new(from.rest(), now)?;
        plan.hide(floors);
        if !stand_ins.is_empty() {
            plan.stand_by(stand_ins)?;
        }
        Ok(plan)
    }

    /// Whether only times, levels and services are asked about, so that counts suffice.
    pub(crate) fn is_countable(&self) -> bool {
        let mut countable = true;
        self.rest.for_each_leaf(&mut |leaf| {
            countable &= matches!(
                (&leaf.target, &leaf.test),
                (Target::Field(Field::Level), Test::Levels(_)) | (Target::Field(Field::Service), _)
            );
        });
        countable
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(json: &str) -> Plan {
        Plan::new(json.as_bytes(), Timestamp::from_millis(1_767_323_045_000)).unwrap()
    }

    #[test]
    fn times_are_taken_out_of_the_conjunction() {
        let plan = plan(
            r#"{"query":"timestamp:>=now-1h level:error a","filters":{"timestamp_range":{"end":"2026-01-02T03:00:00Z"}}}"#,
        );
        assert_eq!(plan.time.first, 1_767_319_445_000_000_000);
        assert_eq!(plan.time.last, 1_767_322_800_000_000_000 - 1);
        assert_eq!(format!("{:?}", plan.rest), "And(level:levels, *:words)");
    }

    #[test]
    fn only_times_levels_and_services_are_countable() {
        for (query, countable) in [
            ("", true),
            (
                "level:>=WARN (service:a OR service:b*) -service:c timestamp:>now-1h",
                true,
            ),
            ("a", false),
            ("host:a", false),
            ("level:error OR timestamp:>now-1h", false),
            ("NOT timestamp:>now-1h", false),
        ] {
            let plan = plan(&format!(r#"{{"query":"{query}"}}"#));
            assert_eq!(plan.is_countable(), countable, "{query}");
        }
    }

    #[test]
    fn a_plan_travels() {
        let mut plan =
            plan(r#"{"query":"timestamp:>now-1h x","filters":{"services":["a"]},"limit":3}"#);
        let asked = plan.time;
        let floor = Timestamp::from_nanos(asked.first + 5);
        plan.hide(Floors::new(floor, [("a".to_owned(), floor)]));
        assert_eq!(plan.time.first, asked.first + 5);
        let back = Plan::decode(&plan.encode()).unwrap();
        assert_eq!((back.time, back.cut()), (plan.time, plan.cut()));
        assert_eq!(back.floors, plan.floors);
        let mut again = back.clone();
        again.hide(Floors::NONE);
        assert_eq!((again.time, again.cut()), (asked, Cut::none(asked)));
        assert_eq!(back.rest, plan.rest);
        assert_eq!(back.request.limit, 3);
        assert_eq!(back.services(), Some(vec!["a"]));
        for bytes in [
            &[][..],
            &[9],
            &[VERSION, 1],
            &[VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, b'{'],
            &[VERSION, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9, b'{'],
            &[
                VERSION_WITHOUT_STAND_INS,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                0,
                b'{',
            ],
            &[VERSION_WITHOUT_FLOORS, 0, 0, 0, 0, 0, 0, 0, 0, b'{'],
        ] {
            assert!(Plan::decode(bytes).is_err());
        }
        let first_version = [
            &[VERSION_WITHOUT_FLOORS, 0, 0, 0, 0, 0, 0, 0, 0],
            &b"{}"[..],
        ];
        let old = Plan::decode(&first_version.concat()).unwrap();
        assert_eq!(old.cut(), Cut::none(Interval::ALL));
    }
}
