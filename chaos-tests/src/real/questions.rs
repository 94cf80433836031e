//! The steps that only look: what must hold while faults are there, and soon after.

use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::Instant;

use super::check;
use super::load::Outcome;
use super::nemesis::{Nemesis, POLL, at, ms};
use super::schedule::Action;
use super::world::READY_WITHIN;

/// How long a node may look at its data before it refuses them.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);

impl Nemesis<'_> {
    /// The steps that only look.
    pub(super) async fn ask(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Acks(within) => match self.load.next_ack(ms(*within)).await {
                Some(gap) => {
                    let gaps = self.gaps_ms.entry(self.last.to_owned()).or_default();
                    gaps.push(u64::try_from(gap.as_millis())?);
                }
                None => self.fail(format!("C11: no acknowledgement within {within} ms")),
            },
            Action::NoAck(who) => {
                let asked = who.iter().map(|who| self.load.probe(at(*who)));
                let outcomes = futures_util::future::try_join_all(asked).await?;
                for (who, outcome) in who.iter().zip(outcomes) {
                    if outcome == Outcome::Acked {
                        let node = at(*who) + 1;
                        self.fail(format!("node {node} acknowledges without a majority"));
                    }
                }
            }
            Action::Refuses(who, within) => {
                let asked = Instant::now();
                let outcome = self.load.probe(at(*who)).await?;
                let took = asked.elapsed();
                if !matches!(outcome, Outcome::Refused(_)) || took > ms(*within) {
                    let node = at(*who) + 1;
                    self.fail(format!(
                        "node {node} is to refuse within {within} ms: {outcome:?} after {took:?}"
                    ));
                }
            }
            Action::TooMuch => {
                if self.refused == 0 {
                    self.fail("no request of the flood was too many".into());
                }
            }
            Action::Memory(mib) => {
                for index in 0..self.world.nodes.len() {
                    let peak = self.world.process(index)?.peak_bytes();
                    let peak = peak.context("its memory cannot be read")?;
                    (self.say)(format!(
                        "          node {}: {} MiB at most",
                        index + 1,
                        peak >> 20
                    ));
                    if peak > mib << 20 {
                        self.fail(format!("node {} took {peak} bytes of memory", index + 1));
                    }
                }
            }
            Action::Calm(most) => {
                let now = self.world.terms().await;
                for (group, before) in self.terms.clone() {
                    let term = now.get(&group).copied().unwrap_or(before);
                    if term > before + most {
                        self.fail(format!("the term of {group} rose from {before} to {term}"));
                    }
                }
            }
            Action::DiskFull(who, within) => self.disk_full(at(*who), ms(*within)).await?,
            Action::Reads(who) => self.reads(at(*who)).await,
            Action::Deposed(who, within) => self.deposed(at(*who), ms(*within)).await,
            Action::Refused(who, words) => self.refused(at(*who), words).await?,
            Action::Unready(who, within, words) => {
                self.unready(at(*who), ms(*within), words).await;
            }
            Action::Ready(who, within) => {
                if let Err(error) = self.world.wait_ready(at(*who), ms(*within)).await {
                    self.fail(format!("C11: {error:#}"));
                }
            }
            Action::Sealed(within) => {
                for index in self.world.members() {
                    let url = self.world.url(index);
                    if let Err(error) = check::sealed(&url, ms(*within)).await {
                        self.fail(format!("C11: node {}: {error:#}", index + 1));
                    }
                }
            }
            Action::Mended(who, within) => self.mended(at(*who), ms(*within)).await?,
            Action::Judged(who) => self.judged(at(*who)).await?,
            Action::Honest(who) => self.honest(at(*who), u64::MAX).await,
            Action::HonestLately(who, records) => self.honest(at(*who), *records).await,
            Action::StartOn(who, whose) => {
                let data = self.world.nodes[at(*whose)].disk.data();
                self.world.start_node_on(at(*who), &data)?;
            }
            Action::Out(who) => {
                self.world.kill(at(*who))?;
                self.world.nodes[at(*who)].out = true;
            }
            Action::Gone(who, within) => self.has_left(at(*who), ms(*within)).await?,
            Action::Whole(within) => self.is_whole(ms(*within)).await,
            done => bail!("{done:?} is no question"),
        }
        Ok(())
    }

    async fn honest(&mut self, index: usize, last: u64) {
        let url = self.world.url(index);
        if let Err(error) = check::honest(&url, self.load, last).await {
            self.fail(format!("C6: node {}: {error:#}", index + 1));
        }
    }

    pub(super) async fn mended(&mut self, index: usize, within: Duration) -> Result<()> {
        let started = Instant::now();
        loop {
            let Some(amiss) = self.world.amiss(index).await? else {
                return Ok(());
            };
            if started.elapsed() > within {
                self.fail(format!("node {} after {within:?}: {amiss}", index + 1));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn disk_full(&mut self, index: usize, within: Duration) -> Result<()> {
        let started = Instant::now();
        let mut last = Outcome::Unknown;
        while started.elapsed() < within {
            last = self.load.probe(index).await?;
            if last == Outcome::Refused(507) {
                return Ok(());
            }
        }
        let node = index + 1;
        self.fail(format!(
            "node {node} with a full disk answers {last:?}, not 507"
        ));
        Ok(())
    }

    async fn reads(&mut self, index: usize) {
        let url = self.world.url(index);
        if let Err(error) = check::whole_count(&url, Duration::from_secs(10)).await {
            self.fail(format!("reads stop at node {}: {error:#}", index + 1));
        }
    }

    async fn deposed(&mut self, index: usize, within: Duration) {
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < within {
            let others = self.world.members().into_iter();
            for asked in others.filter(|asked| *asked != index) {
                let Some(leads) = self.world.leads(asked).await else {
                    continue;
                };
                if !leads.contains_key(&index) && !leads.is_empty() {
                    return;
                }
                last = Some(leads);
            }
            tokio::time::sleep(POLL).await;
        }
        let seen = last.unwrap_or_default().remove(&index).unwrap_or_default();
        let node = index + 1;
        self.fail(format!("node {node} still leads {seen:?} after {within:?}"));
    }

    async fn refused(&mut self, index: usize, words: &[String]) -> Result<()> {
        let started = Instant::now();
        let said = |text: &str| words.iter().any(|word| text.contains(word.as_str()));
        let mut last = String::new();
        loop {
            let process = self.world.process(index)?;
            if let Some(status) = process.ended() {
                let log = process.log_tail();
                if status.code() != Some(78) || !said(&log) {
                    self.fail(format!(
                        "node {} ended with {status}, which names none of {words:?}: {log}",
                        index + 1
                    ));
                }
                return Ok(());
            }
            match self.world.readiness(index).await {
                Some((200, _)) => {
                    self.fail(format!(
                        "node {} takes part, though it must be refused ({})",
                        index + 1,
                        words.join(", ")
                    ));
                    return Ok(());
                }
                Some((_, body)) if said(&body) => return Ok(()),
                Some((_, body)) => last = body,
                None => {}
            }
            if started.elapsed() > REFUSED_WITHIN {
                self.fail(format!(
                    "node {} says nothing of {words:?}: {last}",
                    index + 1
                ));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }

    async fn unready(&mut self, index: usize, within: Duration, words: &[String]) {
        let started = Instant::now();
        let mut last = String::new();
        while started.elapsed() < within {
            if let Ok(process) = self.world.process(index)
                && let Some(status) = process.ended()
            {
                last = format!("ended with {status}: {}", process.log_tail());
                break;
            }
            if let Some((status, body)) = self.world.readiness(index).await {
                if status == 503 && words.iter().any(|word| body.contains(word.as_str())) {
                    return;
                }
                last = format!("{status} {body}");
            }
            tokio::time::sleep(POLL).await;
        }
        let node = index + 1;
        self.fail(format!(
            "node {node} is not unready for {words:?} within {within:?}: {last}"
        ));
    }

    /// A flip that hit nothing of use may do no harm; one that did must not shorten the log silently.
    async fn judged(&mut self, index: usize) -> Result<()> {
        const WORDS: [&str; 4] = ["damaged", "lost acknowledged", "quarantin", "cannot open"];
        let noted = self
            .noted
            .get(&index)
            .cloned()
            .context("its end was not noted")?;
        let started = Instant::now();
        let node = index + 1;
        loop {
            let process = self.world.process(index)?;
            if let Some(status) = process.ended() {
                let log = process.log_tail();
                let named = WORDS.iter().any(|word| log.contains(word));
                if status.code() != Some(78) || !named {
                    self.fail(format!(
                        "node {node} ended with {status} on damaged data: {log}"
                    ));
                } else {
                    (self.say)(format!(
                        "          refused: {}",
                        log.lines().last().unwrap_or("")
                    ));
                }
                return Ok(());
            }
            if let Some((_, body)) = self.world.readiness(index).await
                && body.contains("quarantin")
            {
                return Ok(());
            }
            if let Some(found) = self.world.positions(index).await
                && found.len() >= noted.len()
            {
                for (shard, (_, committed)) in &noted {
                    let appended = found.get(shard).map_or(0, |(appended, _)| *appended);
                    if appended < *committed {
                        self.fail(format!(
                            "node {node} serves shard {shard} up to {appended}, and had {committed}"
                        ));
                    }
                }
                (self.say)("          started: nothing that it had is missing".into());
                return Ok(());
            }
            if started.elapsed() > READY_WITHIN / 2 {
                self.fail(format!(
                    "node {node} neither refuses nor serves its damaged data"
                ));
                return Ok(());
            }
            tokio::time::sleep(POLL).await;
        }
    }
}
