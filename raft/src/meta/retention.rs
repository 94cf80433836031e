//! How long records are kept: one rule per service, and one for those that have none.
//!
//! It knows of no clock and drops nothing: what a rule means for a bucket is judged by whoever leads.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::codec::{Decoder, Encoder, Error};
use crate::limits::{
    RETENTION_MAX, RETENTION_MIN, RETENTION_RULES_MAX, RETENTION_SERVICE_BYTES_MAX,
};

/// The rules that hold. What none of them says is each node's configuration's to say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// For services without a rule of their own.
    pub default: Option<Duration>,
    /// By service, letter by letter.
    pub services: BTreeMap<String, Duration>,
    /// How often a rule was set or removed: what was judged by others does not hold any more.
    pub revision: u64,
}

/// A change of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetentionRule {
    /// Whose; `None` for all services without a rule of their own.
    pub service: Option<String>,
    /// How long, in whole seconds; `None` removes the rule.
    pub period: Option<Duration>,
}

impl Retention {
    /// Sets or removes a rule.
    ///
    /// # Errors
    /// The reason in one sentence; nothing has changed then.
    pub(super) fn apply(&mut self, rule: &RetentionRule) -> Result<(), String> {
        if let Some(period) = rule.period
            && !(RETENTION_MIN..=RETENTION_MAX).contains(&period)
        {
            return Err("a retention is from 1 hour to 3650 days".into());
        }
        let Some(service) = &rule.service else {
            self.default = rule.period;
            self.revision += 1;
            return Ok(());
        };
        let Some(period) = rule.period else {
            self.services.remove(service);
            self.revision += 1;
            return Ok(());
        };
        if service.is_empty() || service.len() > RETENTION_SERVICE_BYTES_MAX {
            return Err(format!(
                "a service's name has from 1 to {RETENTION_SERVICE_BYTES_MAX} bytes"
            ));
        }
        if self.services.len() >= RETENTION_RULES_MAX && !self.services.contains_key(service) {
            return Err(format!(
                "there are {RETENTION_RULES_MAX} retention rules already; remove one first"
            ));
        }
        self.services.insert(service.clone(), period);
        self.revision += 1;
        Ok(())
    }
}

impl RetentionRule {
    pub(super) fn bytes(&self) -> usize {
        15 + self.service.as_ref().map_or(0, String::len)
    }
}

fn put_period(out: &mut Encoder, period: Option<Duration>) {
    match period {
        None => out.u8(0),
        Some(period) => out.u8(1).u64(period.as_secs()),
    };
}

fn take_period(input: &mut Decoder<'_>) -> Result<Option<Duration>, Error> {
    let given = input.flag()?;
    given
        .then(|| input.u64().map(Duration::from_secs))
        .transpose()
}

pub(super) fn put_retention(out: &mut Encoder, retention: &Retention) {
    out.u64(retention.revision);
    put_period(out, retention.default);
    out.len(retention.services.len());
    for (service, period) in &retention.services {
        out.text(service).u64(period.as_secs());
    }
}

pub(super) fn take_retention(input: &mut Decoder<'_>) -> Result<Retention, Error> {
    let revision = input.u64()?;
    let default = take_period(input)?;
    let mut services = BTreeMap::new();
    for _ in 0..input.count(4 + 8)? {
        services.insert(input.text()?, Duration::from_secs(input.u64()?));
    }
    Ok(Retention {
        default,
        services,
        revision,
    })
}

pub(super) fn put_rule(out: &mut Encoder, rule: &RetentionRule) {
    match &rule.service {
        None => out.u8(0),
        Some(service) => out.u8(1).text(service),
    };
    put_period(out, rule.period);
}

pub(super) fn take_rule(input: &mut Decoder<'_>) -> Result<RetentionRule, Error> {
    let named = input.flag()?;
    Ok(RetentionRule {
        service: named.then(|| input.text()).transpose()?,
        period: take_period(input)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3_600);

    fn rule(service: Option<&str>, period: Option<Duration>) -> RetentionRule {
        RetentionRule {
            service: service.map(str::to_owned),
            period,
        }
    }

    #[test]
    fn rules_are_set_changed_and_removed() {
        let mut retention = Retention::default();
        retention.apply(&rule(None, Some(2 * HOUR))).unwrap();
        retention.apply(&rule(Some("a"), Some(9 * HOUR))).unwrap();
        retention.apply(&rule(Some("b"), Some(HOUR))).unwrap();
        retention.apply(&rule(Some("a"), Some(HOUR))).unwrap();
        assert_eq!(retention.default, Some(2 * HOUR));
        let services = [("a", HOUR), ("b", HOUR)].map(|(name, of)| (name.to_owned(), of));
        assert_eq!(retention.services, BTreeMap::from(services));
        for service in [Some("a"), Some("b"), Some("never set"), None] {
            retention.apply(&rule(service, None)).unwrap();
        }
        let revision = 8;
        let none = Retention {
            revision,
            ..Retention::default()
        };
        assert_eq!(retention, none, "every change counts");
    }

    #[test]
    fn what_is_over_a_limit_changes_nothing() {
        let mut retention = Retention::default();
        let long = "s".repeat(RETENTION_SERVICE_BYTES_MAX + 1);
        let second = Duration::from_secs(1);
        for (service, period) in [
            (None, HOUR - second),
            (None, RETENTION_MAX + second),
            (Some("a"), Duration::ZERO),
            (Some(""), HOUR),
            (Some(long.as_str()), HOUR),
        ] {
            assert!(retention.apply(&rule(service, Some(period))).is_err());
        }
        assert_eq!(retention, Retention::default());
        for number in 0..RETENTION_RULES_MAX {
            let name = number.to_string();
            retention.apply(&rule(Some(&name), Some(HOUR))).unwrap();
        }
        assert!(
            retention
                .apply(&rule(Some("one more"), Some(HOUR)))
                .is_err()
        );
        // One that is there can still be changed.
        retention.apply(&rule(Some("0"), Some(2 * HOUR))).unwrap();
        assert_eq!(retention.services.len(), RETENTION_RULES_MAX);
    }
}
