//! Rate limits of services: a request that holds records of one that is over its limit is refused whole.
//!
//! A service's account is the moment up to which it has used its rate: what it sends moves that moment
//! on, and while it is less than [`RATE_BURST`] ahead of now, the next request is let in, whatever its
//! size. So a large request passes too, and is paid off before the next; in the long run the rate holds.
//! Each gateway holds what it takes in against the whole rate, and is told every moment what the others
//! have taken in: nobody is asked on the way, and in the long run the rate holds for all of them together.
//!
//! Accounts are few and small whatever names come. One that owes nothing says nothing and may go.

use std::sync::Arc;
use std::time::Duration;

use hushlog_raft::meta::{Limit, Limits};
use hushlog_record::id::stable_hash;
use parking_lot::Mutex;
use rustc_hash::FxHashMap;
use tokio::time::Instant;

use super::services::{Services, Share};
use crate::error::{Failure, Kind};
use crate::limits::{
    RATE_ACCOUNTS_MAX, RATE_BURST, RATE_DEBT_MAX, RATE_SWEEP_PAUSE, RATE_WAIT_MAX,
};

/// The accounts of one gateway; cheap to clone.
#[derive(Clone, Default)]
pub struct Rates {
    accounts: Arc<Mutex<Accounts>>,
}

/// What a gateway has taken in of one service since it last said so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Spent {
    /// Hash of the service's name.
    pub key: u64,
    /// The rule by which it is counted.
    pub limit: Limit,
    /// Records.
    pub records: u64,
    /// Bytes of their text.
    pub text_bytes: u64,
}

#[derive(Default)]
struct Accounts {
    of: FxHashMap<u64, Account>,
    /// Of all services that came when there were too many with debts.
    others: Option<Account>,
    /// What the other gateways were not told yet.
    untold: FxHashMap<u64, Spent>,
    swept_at: Option<Instant>,
}

/// What one service has used.
#[derive(Clone, Copy)]
struct Account {
    limit: Limit,
    records_until: Instant,
    bytes_until: Instant,
}

/// A service that has a limit, and what it has in a request.
struct Limited<'a> {
    key: u64,
    limit: Limit,
    /// Its name, if the rule is its own.
    own: Option<&'a str>,
    share: Share,
}

impl Rates {
    /// Refuses if one of these services is over its limit now. Takes nothing.
    pub(super) fn check<'a>(
        &self,
        limits: &Limits,
        services: impl Iterator<Item = (&'a str, &'a Share)>,
    ) -> Result<(), Failure> {
        if limits.is_empty() {
            return Ok(());
        }
        let limited = limited(limits, services);
        self.accounts.lock().check(&limited, Instant::now())
    }

    /// Takes what these services have from their rates; all of it, or nothing. Says what was taken: it is to
    /// be told, or given back.
    pub(super) fn take(&self, limits: &Limits, services: &Services) -> Result<Vec<Spent>, Failure> {
        if limits.is_empty() {
            return Ok(Vec::new());
        }
        let limited = limited(limits, services.iter());
        let now = Instant::now();
        let mut accounts = self.accounts.lock();
        accounts.check(&limited, now)?;
        for one in &limited {
            accounts
                .account(one, now)
                .spend(one.share.records, one.share.text_bytes, now);
        }
        let spent = |one: Limited<'_>| Spent {
            key: one.key,
            limit: one.limit,
            records: one.share.records,
            text_bytes: one.share.text_bytes,
        };
        Ok(limited.into_iter().map(spent).collect())
    }

    /// The other gateways are to be told of this, since it is stored, or may be.
    fn tell(&self, all: &[Spent]) {
        let mut accounts = self.accounts.lock();
        for spent in all {
            accounts.note(spent);
        }
    }

    /// What was taken in since this was last asked, for the other gateways.
    pub fn to_tell(&self) -> Vec<Spent> {
        let untold = std::mem::take(&mut self.accounts.lock().untold);
        let mut all: Vec<Spent> = untold.into_values().collect();
        all.sort_unstable_by_key(|spent| spent.key);
        all
    }

    /// Takes what another gateway has taken in from the same rates. What it counts by another rule than
    /// this gateway is left out: one of them has not heard of a change yet.
    pub fn learn(&self, all: &[Spent]) {
        let now = Instant::now();
        let mut accounts = self.accounts.lock();
        for spent in all {
            let is_full = accounts.of.len() >= RATE_ACCOUNTS_MAX;
            if is_full && !accounts.of.contains_key(&spent.key) {
                continue;
            }
            let new = Account::new(spent.limit, now);
            let account = accounts.of.entry(spent.key).or_insert(new);
            if account.limit == spent.limit {
                account.spend(spent.records, spent.text_bytes, now);
            }
        }
    }

    /// Gives back what was taken for a request of which nothing was stored, and of which nobody was told.
    fn give_back(&self, all: &[Spent]) {
        let mut accounts = self.accounts.lock();
        for spent in all {
            if let Some(account) = accounts.of.get_mut(&spent.key) {
                account.give_back(spent);
            }
        }
    }

    /// How many accounts there are.
    #[cfg(test)]
    fn len(&self) -> usize {
        self.accounts.lock().of.len()
    }
}

/// What a request has taken from the rates of its services. Dropped before it is under way it is given back;
/// behind that nobody knows whether it is stored, and it counts.
pub(super) struct Taken {
    rates: Rates,
    spent: Vec<Spent>,
    is_underway: bool,
}

impl Taken {
    pub(super) fn new(rates: &Rates, spent: Vec<Spent>) -> Self {
        Self {
            rates: rates.clone(),
            spent,
            is_underway: false,
        }
    }

    /// From now on it may be stored although nobody waits for the answer.
    pub(super) fn is_underway(&mut self) {
        self.is_underway = true;
    }

    /// Nothing of it is stored.
    pub(super) fn give_back(mut self) {
        self.is_underway = false;
    }
}

impl Drop for Taken {
    fn drop(&mut self) {
        if self.is_underway {
            self.rates.tell(&self.spent);
        } else {
            self.rates.give_back(&self.spent);
        }
    }
}

fn key(service: &str) -> u64 {
    stable_hash(&[b"rate", service.as_bytes()])
}

fn limited<'a>(
    limits: &Limits,
    services: impl Iterator<Item = (&'a str, &'a Share)>,
) -> Vec<Limited<'a>> {
    let limited = services.filter_map(|(service, share)| {
        let (limit, own) = limits.of(service)?;
        Some(Limited {
            key: key(service),
            limit,
            own: own.then_some(service),
            share: *share,
        })
    });
    limited.collect()
}

impl Accounts {
    fn check(&mut self, limited: &[Limited<'_>], now: Instant) -> Result<(), Failure> {
        for one in limited {
            if let Some(wait) = self.account(one, now).wait(now) {
                return Err(over(one.own, wait));
            }
        }
        Ok(())
    }

    /// The account of a service; a rule that has changed begins with a new one.
    fn account(&mut self, one: &Limited<'_>, now: Instant) -> &mut Account {
        let known = self.of.contains_key(&one.key);
        // Those with a rule of their own are few, and always have an account.
        let is_full = !known && one.own.is_none() && {
            self.sweep(now);
            self.of.len() >= RATE_ACCOUNTS_MAX
        };
        let new = Account::new(one.limit, now);
        let account = if is_full {
            self.others.get_or_insert(new)
        } else {
            self.of.entry(one.key).or_insert(new)
        };
        if account.limit != one.limit {
            *account = new;
        }
        account
    }

    /// Notes what is to be told. Of services that share an account nobody is told.
    fn note(&mut self, spent: &Spent) {
        if !self.of.contains_key(&spent.key) {
            return;
        }
        let untold = self.untold.entry(spent.key).or_default();
        if untold.limit != spent.limit {
            *untold = Spent::default();
        }
        untold.key = spent.key;
        untold.limit = spent.limit;
        untold.records += spent.records;
        untold.text_bytes += spent.text_bytes;
    }

    /// Forgets accounts that owe nothing, when there are many, and not too often.
    fn sweep(&mut self, now: Instant) {
        let is_due = self.swept_at.is_none_or(|at| now >= at + RATE_SWEEP_PAUSE);
        if self.of.len() >= RATE_ACCOUNTS_MAX && is_due {
            self.of.retain(|_, account| !account.owes_nothing(now));
            self.swept_at = Some(now);
        }
    }
}

impl Account {
    fn new(limit: Limit, now: Instant) -> Self {
        Self {
            limit,
            records_until: now,
            bytes_until: now,
        }
    }

    fn owes_nothing(&self, now: Instant) -> bool {
        self.records_until.max(self.bytes_until) <= now
    }

    /// How long until a request is let in; `None` if it is now.
    fn wait(&self, now: Instant) -> Option<Duration> {
        let until = self.records_until.max(self.bytes_until);
        until.saturating_duration_since(now).checked_sub(RATE_BURST)
    }

    fn spend(&mut self, records: u64, text_bytes: u64, now: Instant) {
        let (records, bytes) = costs(self.limit, records, text_bytes);
        // However much comes, also from others, it is paid off within a bounded time.
        let latest = now + RATE_DEBT_MAX;
        self.records_until = (self.records_until.max(now) + records).min(latest);
        self.bytes_until = (self.bytes_until.max(now) + bytes).min(latest);
    }

    fn give_back(&mut self, spent: &Spent) {
        let (records, bytes) = costs(self.limit, spent.records, spent.text_bytes);
        let back = |until: Instant, cost| until.checked_sub(cost).unwrap_or(until);
        self.records_until = back(self.records_until, records);
        self.bytes_until = back(self.bytes_until, bytes);
    }
}

/// How much time of its rates so much takes: of records, of bytes.
fn costs(limit: Limit, records: u64, text_bytes: u64) -> (Duration, Duration) {
    let cost = |count: u64, rate: Option<u64>| {
        let Some(rate) = rate else {
            return Duration::ZERO;
        };
        let nanos = u128::from(count) * 1_000_000_000 / u128::from(rate.max(1));
        let nanos = u64::try_from(nanos).unwrap_or(u64::MAX);
        Duration::from_nanos(nanos).min(RATE_DEBT_MAX)
    };
    (
        cost(records, limit.records_per_second),
        cost(text_bytes, limit.bytes_per_second),
    )
}

/// The refusal. Only a name that somebody has set a limit for is repeated.
fn over(own: Option<&str>, wait: Duration) -> Failure {
    let wait = wait.clamp(Duration::from_secs(1), RATE_WAIT_MAX);
    let who = match own {
        Some(service) => format!("the service {service:?} is over its rate limit"),
        None => "a service of this request is over the rate limit of every service".into(),
    };
    let seconds = wait.as_secs_f64().ceil();
    let message = format!("{who}; nothing was stored; send it again in {seconds} s");
    Failure::new(Kind::RateLimited, message).after(wait)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use tokio::time::advance;

    use super::super::services::record;
    use super::*;

    fn per_second(records: Option<u64>, bytes: Option<u64>) -> Limit {
        Limit {
            records_per_second: records,
            bytes_per_second: bytes,
        }
    }

    fn rules(default: Option<Limit>, services: &[(&str, Limit)]) -> Limits {
        let services = services.iter().map(|(name, of)| ((*name).to_owned(), *of));
        Limits {
            default,
            services: services.collect::<BTreeMap<_, _>>(),
        }
    }

    /// A request of so many records of each service, of ten bytes of text beside the name.
    fn request(services: &[(&str, usize)]) -> Services {
        let mut all = Services::default();
        for (service, count) in services {
            for _ in 0..*count {
                all.add(&record(service, ""), service.len() + 10, 0);
            }
        }
        all
    }

    fn wait<T: std::fmt::Debug>(outcome: Result<T, Failure>) -> u64 {
        let failure = outcome.expect_err("refused");
        assert_eq!(failure.kind, Kind::RateLimited);
        failure.retry_after().expect("a wait").as_secs()
    }

    const BURST: usize = 5;
    const _: () = assert!(RATE_BURST.as_secs() == BURST as u64);

    #[tokio::test(start_paused = true)]
    async fn a_service_is_let_in_at_its_rate_and_told_when() {
        let limits = rules(None, &[("a", per_second(Some(10), None))]);
        let rates = Rates::default();
        let one = request(&[("a", 1), ("b", 1_000)]);
        for _ in 0..10 * BURST {
            rates.take(&limits, &one).expect("within the burst");
        }
        assert_eq!(wait(rates.take(&limits, &one)), 1);
        advance(Duration::from_millis(100)).await;
        rates.take(&limits, &one).expect("one more");
        rates.take(&limits, &one).expect_err("and no other");
        // What no rule limits is not refused by that.
        rates.take(&limits, &request(&[("b", 9)])).expect("free");
        advance(Duration::from_secs(3600)).await;
        for _ in 0..10 * BURST {
            rates
                .take(&limits, &one)
                .expect("no more than a burst is saved up");
        }
        rates.take(&limits, &one).expect_err("the burst is used");
    }

    #[tokio::test(start_paused = true)]
    async fn a_large_request_passes_once_and_is_paid_off() {
        let limits = rules(None, &[("a", per_second(Some(10), None))]);
        let rates = Rates::default();
        let large = request(&[("a", 10 * (BURST + 7))]);
        rates.take(&limits, &large).expect("let in");
        assert_eq!(wait(rates.take(&limits, &request(&[("a", 1)]))), 7);
        advance(Duration::from_secs(8)).await;
        rates.take(&limits, &large).expect("let in");
        // However large it was, the debt has an end, and so has the wait that is told.
        let limits = rules(None, &[("a", per_second(Some(1), None))]);
        let huge = request(&[("a", 10_000)]);
        rates.take(&limits, &huge).expect("let in");
        let told = wait(rates.take(&limits, &huge));
        assert_eq!(told, RATE_WAIT_MAX.as_secs());
        advance(RATE_DEBT_MAX).await;
        rates.take(&limits, &huge).expect("let in");
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_count_as_well_as_records() {
        let limits = rules(Some(per_second(Some(1_000_000), Some(11))), &[]);
        let rates = Rates::default();
        let one = request(&[("a", 1)]);
        for _ in 0..BURST {
            rates.take(&limits, &one).expect("eleven bytes a second");
        }
        wait(rates.take(&limits, &one));
        rates
            .take(&limits, &request(&[("b", 1)]))
            .expect("its own account");
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_of_many_services_is_taken_whole_or_not_at_all() {
        let limits = rules(
            None,
            &[
                ("a", per_second(Some(1), None)),
                ("b", per_second(Some(1), None)),
            ],
        );
        let rates = Rates::default();
        let taken = rates.take(&limits, &request(&[("b", BURST)]));
        let taken = Taken::new(&rates, taken.expect("let in"));
        for _ in 0..3 {
            let both = request(&[("a", BURST), ("b", 1)]);
            let failure = rates.take(&limits, &both).expect_err("b is over");
            assert!(failure.message.contains("\"b\""), "{failure}");
        }
        rates
            .take(&limits, &request(&[("a", 1)]))
            .expect("a has used nothing");
        taken.give_back();
        rates
            .take(&limits, &request(&[("b", 1)]))
            .expect("nothing was stored");
    }

    #[tokio::test(start_paused = true)]
    async fn gateways_that_tell_each_other_keep_one_rate_together() {
        let limits = rules(None, &[("a", per_second(Some(10), None))]);
        let gateways = [Rates::default(), Rates::default(), Rates::default()];
        let one = request(&[("a", 1)]);
        let mut taken = 0;
        const SECONDS: usize = 120;
        for second in 0..SECONDS {
            // Everyone is flooded, and tells the others once a second.
            for gateway in &gateways {
                while let Ok(spent) = gateway.take(&limits, &one) {
                    let mut stored = Taken::new(gateway, spent);
                    stored.is_underway();
                    taken += 1;
                }
            }
            for (number, gateway) in gateways.iter().enumerate() {
                let spent = gateway.to_tell();
                for (other, learner) in gateways.iter().enumerate() {
                    if other != number {
                        learner.learn(&spent);
                    }
                }
                assert!(gateway.to_tell().is_empty(), "once: {second}");
            }
            advance(Duration::from_secs(1)).await;
        }
        // Each lets its own burst in at first.
        let most = 10 * (SECONDS + gateways.len() * (BURST + 1));
        assert!((10 * SECONDS..=most).contains(&taken), "{taken}");
    }

    #[tokio::test(start_paused = true)]
    async fn others_are_told_only_of_what_is_stored_or_may_be() {
        let limits = rules(None, &[("a", per_second(Some(1), None))]);
        let rates = Rates::default();
        let take = || {
            let spent = rates.take(&limits, &request(&[("a", 1)])).expect("let in");
            Taken::new(&rates, spent)
        };
        drop(take());
        let mut refused = take();
        refused.is_underway();
        refused.give_back();
        assert_eq!(rates.to_tell(), []);
        let mut gone = take();
        gone.is_underway();
        drop(gone);
        let told: Vec<u64> = rates.to_tell().iter().map(|spent| spent.records).collect();
        assert_eq!(told, [1]);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_told_under_another_rule_or_beyond_the_bound_counts_nothing() {
        let rates = Rates::default();
        let rule = per_second(Some(1), None);
        let spent = |key, limit| Spent {
            key,
            limit,
            records: 500,
            text_bytes: 0,
        };
        let limits = rules(None, &[("a", rule)]);
        rates.take(&limits, &request(&[("a", 1)])).expect("let in");
        rates.learn(&[spent(key("a"), per_second(Some(2), None))]);
        rates
            .take(&limits, &request(&[("a", 1)]))
            .expect("another rule");
        rates.learn(&[spent(key("a"), rule)]);
        rates
            .take(&limits, &request(&[("a", 1)]))
            .expect_err("over");
        let many: Vec<Spent> = (0..2 * RATE_ACCOUNTS_MAX as u64)
            .map(|key| spent(key, rule))
            .collect();
        rates.learn(&many);
        assert_eq!(rates.len(), RATE_ACCOUNTS_MAX);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_rule_begins_anew() {
        let rates = Rates::default();
        let slow = rules(None, &[("a", per_second(Some(1), None))]);
        rates.take(&slow, &request(&[("a", 500)])).expect("let in");
        rates.take(&slow, &request(&[("a", 1)])).expect_err("owes");
        let fast = rules(None, &[("a", per_second(Some(2), None))]);
        rates.take(&fast, &request(&[("a", 1)])).expect("let in");
        rates
            .take(&rules(None, &[]), &request(&[("a", 500)]))
            .expect("no limit");
    }

    #[tokio::test(start_paused = true)]
    async fn accounts_are_few_whatever_names_come() {
        let limits = rules(
            Some(per_second(Some(1), None)),
            &[("own", per_second(Some(1), None))],
        );
        let rates = Rates::default();
        let flood = |from: usize, count: usize| {
            let names: Vec<String> = (from..from + count).map(|n| format!("s{n}")).collect();
            let names: Vec<(&str, usize)> =
                names.iter().map(|name| (name.as_str(), BURST)).collect();
            request(&names)
        };
        rates
            .take(&limits, &flood(0, RATE_ACCOUNTS_MAX))
            .expect("let in");
        assert_eq!(rates.len(), RATE_ACCOUNTS_MAX);
        // Further ones have one account together.
        rates.take(&limits, &flood(1 << 20, 1)).expect("let in");
        let failure = rates.take(&limits, &flood(1 << 21, 1)).expect_err("over");
        assert!(!failure.message.contains("s2097152"), "{failure}");
        rates
            .take(&limits, &request(&[("own", 1)]))
            .expect("its own");
        assert!(rates.len() <= RATE_ACCOUNTS_MAX + 1);
        // Those that owe nothing make room.
        advance(RATE_BURST + Duration::from_secs(1)).await;
        rates.take(&limits, &flood(1 << 22, 1)).expect("let in");
        assert!(rates.len() < 10, "{}", rates.len());
    }
}
