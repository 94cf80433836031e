//! How much each service may send: one rule per service, and one for those that have none.
//!
//! It counts nothing: each node's gateway holds what it takes in against these rules.

use std::collections::BTreeMap;

use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{RATE_MAX, RATE_RULES_MAX, RATE_SERVICE_BYTES_MAX};

/// What one service may send in a second; what is absent has no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// Records in a second.
    pub records_per_second: Option<u64>,
    /// Bytes of records' text in a second.
    pub bytes_per_second: Option<u64>,
}

/// The rules that hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// For each service without a rule of its own.
    pub default: Option<Limit>,
    /// By service, letter by letter. A rule takes the place of the default as a whole.
    pub services: BTreeMap<String, Limit>,
}

/// A change of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LimitRule {
    /// Whose; `None` for each service without a rule of its own.
    pub service: Option<String>,
    /// How much; `None` removes the rule.
    pub limit: Option<Limit>,
}

impl Limits {
    /// Whether nobody has a limit.
    pub fn is_empty(&self) -> bool {
        self.default.is_none() && self.services.is_empty()
    }

    /// The rule that holds for a service, and whether it is its own; `None` where it has no limit.
    pub fn of(&self, service: &str) -> Option<(Limit, bool)> {
        let own = self.services.get(service).map(|limit| (*limit, true));
        own.or_else(|| self.default.map(|limit| (limit, false)))
    }

    /// Sets or removes a rule.
    ///
    /// # Errors
    /// The reason in one sentence; nothing has changed then.
    pub(super) fn apply(&mut self, rule: &LimitRule) -> Result<(), String> {
        if let Some(limit) = rule.limit {
            check(limit)?;
        }
        let Some(service) = &rule.service else {
            self.default = rule.limit;
            return Ok(());
        };
        let Some(limit) = rule.limit else {
            self.services.remove(service);
            return Ok(());
        };
        if service.is_empty() || service.len() > RATE_SERVICE_BYTES_MAX {
            return Err(format!(
                "a service's name has from 1 to {RATE_SERVICE_BYTES_MAX} bytes"
            ));
        }
        if self.services.len() >= RATE_RULES_MAX && !self.services.contains_key(service) {
            return Err(format!(
                "there are {RATE_RULES_MAX} limits already; remove one first"
            ));
        }
        self.services.insert(service.clone(), limit);
        Ok(())
    }
}

fn check(limit: Limit) -> Result<(), String> {
    let rates = [limit.records_per_second, limit.bytes_per_second];
    if rates == [None, None] {
        return Err("a limit names records or bytes in a second".into());
    }
    if rates
        .iter()
        .flatten()
        .any(|rate| !(1..=RATE_MAX).contains(rate))
    {
        return Err(format!("a rate is from 1 to {RATE_MAX} in a second"));
    }
    Ok(())
}

impl LimitRule {
    pub(super) fn bytes(&self) -> usize {
        25 + self.service.as_ref().map_or(0, String::len)
    }
}

fn put_limit(out: &mut Encoder, limit: Limit) {
    // A rate is at least 1, so 0 stands for none.
    out.u64(limit.records_per_second.unwrap_or(0))
        .u64(limit.bytes_per_second.unwrap_or(0));
}

fn take_limit(input: &mut Decoder<'_>) -> Result<Limit, Error> {
    let mut rate = || Ok(Some(input.u64()?).filter(|rate| *rate > 0));
    Ok(Limit {
        records_per_second: rate()?,
        bytes_per_second: rate()?,
    })
}

fn put_optional(out: &mut Encoder, limit: Option<Limit>) {
    match limit {
        None => {
            out.u8(0);
        }
        Some(limit) => {
            out.u8(1);
            put_limit(out, limit);
        }
    }
}

fn take_optional(input: &mut Decoder<'_>) -> Result<Option<Limit>, Error> {
    let given = input.flag()?;
    given.then(|| take_limit(input)).transpose()
}

pub(super) fn put_limits(out: &mut Encoder, limits: &Limits) {
    put_optional(out, limits.default);
    out.len(limits.services.len());
    for (service, limit) in &limits.services {
        out.text(service);
        put_limit(out, *limit);
    }
}

pub(super) fn take_limits(input: &mut Decoder<'_>) -> Result<Limits, Error> {
    let default = take_optional(input)?;
    let mut services = BTreeMap::new();
    for _ in 0..input.count(4 + 16)? {
        services.insert(input.text()?, take_limit(input)?);
    }
    Ok(Limits { default, services })
}

pub(super) fn put_rule(out: &mut Encoder, rule: &LimitRule) {
    match &rule.service {
        None => out.u8(0),
        Some(service) => out.u8(1).text(service),
    };
    put_optional(out, rule.limit);
}

pub(super) fn take_rule(input: &mut Decoder<'_>) -> Result<LimitRule, Error> {
    let named = input.flag()?;
    Ok(LimitRule {
        service: named.then(|| input.text()).transpose()?,
        limit: take_optional(input)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(rate: u64) -> Limit {
        Limit {
            records_per_second: Some(rate),
            bytes_per_second: None,
        }
    }

    fn rule(service: Option<&str>, limit: Option<Limit>) -> LimitRule {
        LimitRule {
            service: service.map(str::to_owned),
            limit,
        }
    }

    #[test]
    fn a_service_has_its_own_rule_or_that_of_all_others() {
        let mut limits = Limits::default();
        assert!(limits.is_empty() && limits.of("a").is_none());
        limits.apply(&rule(Some("a"), Some(records(5)))).unwrap();
        assert_eq!(limits.of("a"), Some((records(5), true)));
        assert_eq!(limits.of("b"), None);
        limits.apply(&rule(None, Some(records(9)))).unwrap();
        assert_eq!(limits.of("b"), Some((records(9), false)));
        limits.apply(&rule(Some("a"), None)).unwrap();
        limits.apply(&rule(Some("never set"), None)).unwrap();
        assert_eq!(limits.of("a"), Some((records(9), false)));
        limits.apply(&rule(None, None)).unwrap();
        assert!(limits.is_empty());
    }

    #[test]
    fn what_is_no_limit_changes_nothing() {
        let mut limits = Limits::default();
        let long = "s".repeat(RATE_SERVICE_BYTES_MAX + 1);
        for (service, limit) in [
            (None, Limit::default()),
            (None, records(0)),
            (Some("a"), records(RATE_MAX + 1)),
            (Some(""), records(1)),
            (Some(long.as_str()), records(1)),
        ] {
            assert!(limits.apply(&rule(service, Some(limit))).is_err());
        }
        assert!(limits.is_empty());
        for number in 0..RATE_RULES_MAX {
            let name = number.to_string();
            limits.apply(&rule(Some(&name), Some(records(1)))).unwrap();
        }
        let more = limits.apply(&rule(Some("one more"), Some(records(1))));
        assert!(more.is_err());
        limits.apply(&rule(Some("0"), Some(records(2)))).unwrap();
        assert_eq!(limits.services.len(), RATE_RULES_MAX);
    }
}
