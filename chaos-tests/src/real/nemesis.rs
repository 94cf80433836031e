//! Faults as an explicit list: made from a seed once, printed, and replayed as written.
//!
//! Steps are taken in order, each not before its time. A list also says what must hold on the way,
//! so that a replay asks the same as the first run did.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use super::check;
use super::disk::{Flip, Place};
use super::load::{Load, Outcome, Pace};
use super::process::NodeProcess;
use super::shim::Word;
use super::topo::{Damage, LinkFault};
use super::world::{READY_WITHIN, World};

const POLL: Duration = Duration::from_millis(100);
/// How long a node may look at its data before it refuses them.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);
/// How long a node may take to be ready after the last fault is gone.
const HEALED_WITHIN: Duration = Duration::from_secs(30);
/// What the watermark needs to note the last sync.
const MARKED_AFTER: Duration = Duration::from_millis(600);

/// Everything that decides a run, but for the machine.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Schedule {
    /// Name of the scenario.
    pub scenario: String,
    /// What it was made from; also the seed of the load.
    pub seed: u64,
    /// Nodes.
    pub nodes: usize,
    /// MiB of each node's disk.
    pub disk_mib: u32,
    /// The load.
    pub pace: Pace,
    /// Settings of the nodes, by variable.
    pub settings: Vec<(String, String)>,
    /// The steps.
    pub steps: Vec<Step>,
}

/// One step.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Step {
    /// Milliseconds after the start of the load.
    pub at_ms: u64,
    /// What is done.
    #[serde(rename = "do")]
    pub action: Action,
}

/// A node, by number (from 0) or by what it is at that moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Who {
    /// This one.
    Node(usize),
    /// The one that leads most.
    Leader,
    /// The one that `Leader` last meant.
    Same,
}

/// A fault of a disk by the shim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DiskFault {
    /// So many syncs fail.
    SyncFails(i64),
    /// Every sync fails.
    SyncsFail,
    /// Every sync takes so many milliseconds longer.
    SlowSync(i64),
    /// No sync returns.
    Stuck,
    /// Reads of segments fail.
    ReadsFail,
    /// Syncs do nothing and say that all is well.
    Lies,
}

/// What a step does, or what must hold.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// `kill -9`.
    Kill(Vec<Who>),
    /// SIGSTOP.
    Freeze(Who),
    /// SIGCONT.
    Thaw(Who),
    /// Starts dead nodes and waits until they are ready.
    Start(Vec<Who>),
    /// The power fails: what was not synced is gone.
    CutPower(Vec<Who>),
    /// A fault of a disk.
    Disk(Who, DiskFault),
    /// The disk is well again.
    HealDisk(Who),
    /// The disk is full.
    Fill(Vec<Who>),
    /// There is space again.
    Free(Vec<Who>),
    /// The file system of a running node turns read-only.
    ReadOnly(Who),
    /// A dead node's disk is mounted again.
    Remount(Who),
    /// A dead node has a bit flipped.
    Flip(Who, Place),
    /// And back again.
    FlipBack(Who),
    /// A dead node's newest log loses its last bytes.
    Truncate(Who, u64),
    /// A dead node's files of a place are deleted.
    Delete(Who, Place),
    /// A dead node's folder is copied aside.
    Backup(Who),
    /// And put in its place again, as it was then.
    Restore(Who),
    /// A dead node loses everything.
    Wipe(Who),
    /// The network has these faults and no others; empty: none.
    Links(Vec<LinkFault>),
    /// A node is cut off from all others.
    Isolate(Who),
    /// The established connections of a node are reset.
    Reset(Who),
    /// A node's wall clock is so many milliseconds off.
    Clock(Who, i64),
    /// A node may take so many MiB more; it is killed by the system within the time (ms).
    OutOfMemory(Who, u64, u64),
    /// A node gets this share of a core, in percent; 0: all it wants.
    Cpu(Who, u32),
    /// So many writers send batches of so many records without pause, for so many milliseconds.
    Flood(usize, u64, u64),
    /// A request that begins now is acknowledged within so many milliseconds.
    Acks(u64),
    /// A request to this node is not acknowledged.
    NoAck(Who),
    /// A request to this node, when all disks are full, is answered 507 within so many milliseconds; until
    /// then what had been reserved may be used up.
    DiskFull(Who, u64),
    /// The node answers whole queries.
    Reads(Who),
    /// Another node leads what this one led, within so many milliseconds.
    Deposed(Who, u64),
    /// A started node does not take part: it ends with code 78, or stays unready, and says one of these
    /// words.
    Refused(Who, Vec<String>),
    /// A node becomes unready, and says one of these words, within so many milliseconds.
    Unready(Who, u64, Vec<String>),
    /// A node becomes ready within so many milliseconds, without being started again.
    Ready(Who, u64),
    /// A damaged node that was started alone either refuses, or has all that it had when it was killed.
    Judged(Who),
    /// Every answer of this node is right, or says that it is not whole.
    Honest(Who),
    /// Another node is started on this one's folder: (who, whose).
    StartOn(Who, Who),
    /// The node is given up for the rest of the run.
    Out(Who),
}

/// Classes of faults, as they are counted.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Tally(pub BTreeMap<String, u64>);

impl Tally {
    fn add(&mut self, class: &str, count: usize) {
        *self.0.entry(class.to_owned()).or_default() += count as u64;
    }

    /// All faults.
    pub fn total(&self) -> u64 {
        self.0.values().sum()
    }

    /// Faults of a class.
    pub fn of(&self, class: &str) -> u64 {
        self.0.get(class).copied().unwrap_or_default()
    }

    /// Adds another's.
    pub fn merge(&mut self, other: &Self) {
        for (class, count) in &other.0 {
            *self.0.entry(class.clone()).or_default() += count;
        }
    }
}

impl Schedule {
    /// What it will do, counted; a run counts the same if every step took effect.
    pub fn tally(&self) -> Tally {
        let mut tally = Tally::default();
        for step in &self.steps {
            if let Some((class, count)) = step.action.class() {
                tally.add(class, count);
            }
        }
        tally
    }
}

impl Action {
    /// The class of a fault, and how many it is; `None` for what heals or asks.
    fn class(&self) -> Option<(&'static str, usize)> {
        Some(match self {
            Self::Kill(who) => ("kill", who.len()),
            Self::Freeze(_) => ("freeze", 1),
            Self::CutPower(who) => ("power cut", who.len()),
            Self::Disk(..) | Self::ReadOnly(_) => ("disk error", 1),
            Self::Fill(who) => ("disk full", who.len()),
            Self::Flip(..) => ("bit flip", 1),
            Self::Truncate(..)
            | Self::Delete(..)
            | Self::Restore(_)
            | Self::Wipe(_)
            | Self::StartOn(..) => ("lost or swapped data", 1),
            Self::Links(faults) if faults.is_empty() => return None,
            Self::Links(_) | Self::Isolate(_) => ("network", 1),
            Self::Reset(_) => ("reset", 1),
            Self::Clock(_, 0) => return None,
            Self::Clock(..) => ("clock", 1),
            Self::OutOfMemory(..) => ("out of memory", 1),
            Self::Cpu(_, 0) => return None,
            Self::Cpu(..) => ("starved cpu", 1),
            Self::Flood(..) => ("overload", 1),
            _ => return None,
        })
    }
}

/// Takes the steps.
pub struct Nemesis<'a> {
    world: &'a mut World,
    load: &'a Load,
    say: &'a (dyn Fn(String) + Sync),
    rng: ChaCha8Rng,
    same: usize,
    flips: BTreeMap<usize, Vec<Flip>>,
    noted: BTreeMap<usize, BTreeMap<String, (u64, u64)>>,
    links: Vec<LinkFault>,
    /// Faults that took effect.
    pub tally: Tally,
    /// Promises that were broken.
    pub broken: Vec<String>,
    /// Milliseconds to the next acknowledgement after a fault, by what was asked.
    pub gaps_ms: Vec<u64>,
    /// The steps with every node by number, for an exact replay.
    pub taken: Vec<Step>,
}

impl<'a> Nemesis<'a> {
    /// A nemesis for this world.
    pub fn new(
        world: &'a mut World,
        load: &'a Load,
        seed: u64,
        say: &'a (dyn Fn(String) + Sync),
    ) -> Self {
        Self {
            world,
            load,
            say,
            rng: ChaCha8Rng::seed_from_u64(seed ^ 0x6e65_6d65),
            same: 0,
            flips: BTreeMap::new(),
            noted: BTreeMap::new(),
            links: Vec::new(),
            tally: Tally::default(),
            broken: Vec::new(),
            gaps_ms: Vec::new(),
            taken: Vec::new(),
        }
    }

    /// Takes all steps. An error is a fault that could not be made; what is broken is listed.
    pub async fn run(&mut self, steps: &[Step]) -> Result<()> {
        for step in steps {
            while self.load.now_ms() < step.at_ms {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let action = self.resolve(&step.action).await?;
            let at_ms = self.load.now_ms();
            self.taken.push(Step {
                at_ms: step.at_ms,
                action: action.clone(),
            });
            let before = self.broken.len();
            self.take(&action)
                .await
                .with_context(|| format!("step {action:?} at {at_ms} ms"))?;
            let took = self.load.now_ms() - at_ms;
            let verdict = if self.broken.len() > before {
                " BROKEN"
            } else {
                ""
            };
            (self.say)(format!("  {at_ms:>6} ms  {action:?} ({took} ms){verdict}"));
            if let Some((class, count)) = action.class() {
                self.tally.add(class, count);
            }
        }
        Ok(())
    }

    async fn resolve(&mut self, action: &Action) -> Result<Action> {
        let mut action = action.clone();
        for who in action.names() {
            *who = match *who {
                Who::Node(index) => Who::Node(index),
                Who::Same => Who::Node(self.same),
                Who::Leader => {
                    self.same = self.leader().await?;
                    Who::Node(self.same)
                }
            };
        }
        Ok(action)
    }

    /// The node that leads most, as seen by the first that answers.
    async fn leader(&self) -> Result<usize> {
        let started = Instant::now();
        loop {
            for asked in 0..self.world.nodes.len() {
                let leads = self.world.leads(asked).await.unwrap_or_default();
                if let Some((leader, _)) = leads.into_iter().max_by_key(|(_, groups)| groups.len())
                {
                    return Ok(leader);
                }
            }
            if started.elapsed() > READY_WITHIN {
                bail!("nobody knows a leader");
            }
            tokio::time::sleep(POLL).await;
        }
    }

    fn fail(&mut self, what: String) {
        (self.say)(format!("          BROKEN: {what}"));
        self.broken.push(what);
    }

    async fn take(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Kill(who) => self.kill(who).await?,
            Action::Freeze(who) => self.world.process(at(*who))?.freeze()?,
            Action::Thaw(who) => self.world.process(at(*who))?.thaw()?,
            Action::Start(who) => self.start(who).await?,
            Action::CutPower(who) => {
                let indexes: Vec<usize> = who.iter().map(|who| at(*who)).collect();
                self.world.cut_power(&indexes)?;
            }
            Action::Disk(who, fault) => self.disk(at(*who), *fault).await?,
            Action::HealDisk(who) => self.world.nodes[at(*who)].page.heal_disk()?,
            Action::Fill(who) => self.each_disk(who, |disk| disk.fill())?,
            Action::Free(who) => self.each_disk(who, |disk| disk.free())?,
            Action::ReadOnly(who) => self.world.nodes[at(*who)].disk.set_read_only(true)?,
            Action::Remount(who) => self.world.nodes[at(*who)].disk.reboot()?,
            Action::Flip(who, place) => self.flip(at(*who), *place)?,
            Action::FlipBack(who) => {
                for flip in self.flips.remove(&at(*who)).unwrap_or_default() {
                    flip.apply()?;
                }
            }
            Action::Truncate(who, bytes) => self.truncate(at(*who), *bytes)?,
            Action::Delete(who, place) => {
                let files = self.world.nodes[at(*who)].disk.files(*place)?;
                files.iter().try_for_each(std::fs::remove_file)?;
            }
            Action::Backup(who) => self.copy(at(*who), "data", "backup")?,
            Action::Restore(who) => self.copy(at(*who), "backup", "data")?,
            Action::Wipe(who) => std::fs::remove_dir_all(self.world.nodes[at(*who)].disk.data())?,
            Action::Links(faults) => self.set_links(faults.clone())?,
            Action::Isolate(who) => self.isolate(at(*who))?,
            Action::Reset(who) => self.world.topo.reset_connections(at(*who))?,
            Action::Clock(who, millis) => {
                let page = &self.world.nodes[at(*who)].page;
                page.set(Word::ClockNanos, millis * 1_000_000)?;
            }
            Action::OutOfMemory(who, mib, within) => {
                self.out_of_memory(at(*who), *mib, ms(*within)).await?;
            }
            Action::Cpu(who, percent) => {
                let node = &self.world.nodes[at(*who)];
                let process = node.process.as_ref().context("it does not run")?;
                process.limit_cpu(&self.world.ground, *percent)?;
            }
            Action::Flood(writers, batch, millis) => {
                let refused = self.load.flood(*writers, *batch, ms(*millis)).await?;
                (self.say)(format!(
                    "          {refused} requests refused with 429 or 503"
                ));
            }
            asked => self.ask(asked).await?,
        }
        Ok(())
    }

    /// The steps that only look.
    async fn ask(&mut self, action: &Action) -> Result<()> {
        match action {
            Action::Acks(within) => match self.load.next_ack(ms(*within)).await {
                Some(gap) => self.gaps_ms.push(u64::try_from(gap.as_millis())?),
                None => self.fail(format!("C11: no acknowledgement within {within} ms")),
            },
            Action::NoAck(who) => {
                if self.load.probe(at(*who)).await? == Outcome::Acked {
                    let node = at(*who) + 1;
                    self.fail(format!("node {node} acknowledges without a majority"));
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
            Action::Judged(who) => self.judged(at(*who)).await?,
            Action::Honest(who) => {
                let url = self.world.url(at(*who));
                if let Err(error) = check::honest(&url, self.load).await {
                    self.fail(format!("C6: node {}: {error:#}", at(*who) + 1));
                }
            }
            Action::StartOn(who, whose) => {
                let data = self.world.nodes[at(*whose)].disk.data();
                self.world.start_node_on(at(*who), &data)?;
            }
            Action::Out(who) => {
                self.world.kill(at(*who))?;
                self.world.nodes[at(*who)].out = true;
            }
            done => bail!("{done:?} is no question"),
        }
        Ok(())
    }

    async fn kill(&mut self, who: &[Who]) -> Result<()> {
        for who in who {
            if let Some(positions) = self.world.positions(at(*who)).await {
                self.noted.insert(at(*who), positions);
            }
        }
        tokio::time::sleep(MARKED_AFTER).await;
        who.iter().try_for_each(|who| self.world.kill(at(*who)))
    }

    async fn start(&mut self, who: &[Who]) -> Result<()> {
        for who in who {
            self.world.kill(at(*who))?;
            self.world.start_node(at(*who))?;
        }
        for who in who {
            if self.links.is_empty()
                && let Err(error) = self.world.wait_ready(at(*who), READY_WITHIN).await
            {
                self.fail(format!("C11: {error:#}"));
            }
        }
        Ok(())
    }

    /// Arms a fault and waits until it has struck: a fault that nobody met proves nothing.
    async fn disk(&mut self, index: usize, fault: DiskFault) -> Result<()> {
        let page = &self.world.nodes[index].page;
        let (word, value, counter) = match fault {
            DiskFault::SyncFails(count) => (Word::SyncFails, count, Word::SyncsFailed),
            DiskFault::SyncsFail => (Word::SyncFails, -1, Word::SyncsFailed),
            DiskFault::SlowSync(millis) => (Word::SyncMillis, millis, Word::SyncsDelayed),
            DiskFault::Stuck => (Word::SyncStuck, 1, Word::SyncsDelayed),
            DiskFault::ReadsFail => (Word::ReadFails, 1, Word::ReadsFailed),
            DiskFault::Lies => (Word::SyncLies, 1, Word::SyncsLied),
        };
        let before = page.get(counter)?;
        page.set(word, value)?;
        let struck = Instant::now();
        while page.get(counter)? == before {
            if struck.elapsed() > Duration::from_secs(10) {
                bail!("nothing met the fault of the disk");
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }

    fn each_disk(
        &mut self,
        who: &[Who],
        act: impl Fn(&super::disk::Disk) -> Result<()>,
    ) -> Result<()> {
        who.iter()
            .try_for_each(|who| act(&self.world.nodes[at(*who)].disk))
    }

    fn flip(&mut self, index: usize, place: Place) -> Result<()> {
        let flip = self.world.nodes[index]
            .disk
            .random_flip(place, &mut self.rng)?;
        flip.apply()?;
        (self.say)(format!("          flipped {flip}"));
        self.flips.entry(index).or_default().push(flip);
        Ok(())
    }

    fn truncate(&mut self, index: usize, bytes: u64) -> Result<()> {
        let files = self.world.nodes[index].disk.files(Place::Wal)?;
        let file = files.last().context("no log to truncate")?;
        let file = std::fs::OpenOptions::new().write(true).open(file)?;
        let length = file.metadata()?.len();
        file.set_len(length.saturating_sub(bytes))?;
        Ok(())
    }

    fn copy(&mut self, index: usize, from: &str, to: &str) -> Result<()> {
        let mount = self.world.nodes[index].disk.mount();
        let to = mount.join(to);
        if to.exists() {
            std::fs::remove_dir_all(&to)?;
        }
        let (from, to) = (
            mount.join(from).display().to_string(),
            to.display().to_string(),
        );
        super::ground::run("cp", &["-a", &from, &to])?;
        Ok(())
    }

    fn isolate(&mut self, index: usize) -> Result<()> {
        self.set_links(isolating(index, self.world.nodes.len()))
    }

    fn set_links(&mut self, faults: Vec<LinkFault>) -> Result<()> {
        if !self.links.is_empty() {
            let dropped = self.world.topo.dropped()?;
            (self.say)(format!("          {dropped} packets were dropped"));
        }
        self.world.topo.set_links(&faults)?;
        self.links = faults;
        Ok(())
    }

    async fn out_of_memory(&mut self, index: usize, mib: u64, within: Duration) -> Result<()> {
        let ground = &self.world.ground;
        let process = self.world.nodes[index]
            .process
            .as_mut()
            .context("it does not run")?;
        process.limit_memory(ground, mib)?;
        let started = Instant::now();
        loop {
            if let Some(status) = process.ended() {
                if !NodeProcess::was_killed(status) {
                    self.fail(format!("node {} ended by itself: {status}", index + 1));
                }
                return Ok(());
            }
            if started.elapsed() > within {
                bail!(
                    "the node lives on with {:?} bytes",
                    process.resident_bytes()
                );
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
            for asked in (0..self.world.nodes.len()).filter(|asked| *asked != index) {
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

    /// Ends every fault, brings every node back that is not out, and waits until all take traffic.
    pub async fn heal(&mut self) -> Result<()> {
        self.set_links(Vec::new())?;
        for index in 0..self.world.nodes.len() {
            let node = &mut self.world.nodes[index];
            node.page.heal_disk()?;
            node.disk.free()?;
            if let Some(process) = &mut node.process {
                process.thaw()?;
            }
            if node.out {
                self.world.kill(index)?;
                continue;
            }
            let runs = self.world.nodes[index]
                .process
                .as_mut()
                .is_some_and(|p| p.ended().is_none());
            if !runs {
                self.world.nodes[index].process = None;
                self.world.start_node(index)?;
            }
        }
        for index in 0..self.world.nodes.len() {
            if self.world.nodes[index].out {
                continue;
            }
            let Err(error) = self.world.wait_ready(index, HEALED_WITHIN).await else {
                continue;
            };
            self.fail(format!("C11, after everything is healed: {error:#}"));
            // So that the checks that follow have as many nodes as they can.
            self.world.kill(index)?;
            self.world.start_node(index)?;
            if let Err(error) = self.world.wait_ready(index, HEALED_WITHIN).await {
                self.fail(format!("C11, after one more restart: {error:#}"));
            }
        }
        for (index, node) in self.world.nodes.iter().enumerate() {
            if node.page.get(Word::FailedThenOk)? > 0 {
                let node = index + 1;
                self.broken.push(format!(
                    "node {node} synced a file again after a failed sync of it"
                ));
            }
        }
        Ok(())
    }
}

/// Both directions of every link of a node, cut.
pub fn isolating(index: usize, nodes: usize) -> Vec<LinkFault> {
    let others = (0..nodes).filter(|other| *other != index);
    others
        .flat_map(|other| both_ways(index, other, Damage::Cut))
        .collect()
}

/// Both directions of one link.
pub fn both_ways(a: usize, b: usize, what: Damage) -> [LinkFault; 2] {
    [(a, b), (b, a)].map(|(from, to)| LinkFault { from, to, what })
}

impl Action {
    /// Every node that it names.
    fn names(&mut self) -> Vec<&mut Who> {
        match self {
            Self::Kill(who)
            | Self::Start(who)
            | Self::CutPower(who)
            | Self::Fill(who)
            | Self::Free(who) => who.iter_mut().collect(),
            Self::StartOn(who, whose) => vec![who, whose],
            Self::Freeze(who)
            | Self::Thaw(who)
            | Self::Disk(who, _)
            | Self::HealDisk(who)
            | Self::ReadOnly(who)
            | Self::Remount(who)
            | Self::Flip(who, _)
            | Self::FlipBack(who)
            | Self::Truncate(who, _)
            | Self::Delete(who, _)
            | Self::Backup(who)
            | Self::Restore(who)
            | Self::Wipe(who)
            | Self::Isolate(who)
            | Self::Reset(who)
            | Self::Clock(who, _)
            | Self::OutOfMemory(who, ..)
            | Self::Cpu(who, _)
            | Self::NoAck(who)
            | Self::DiskFull(who, _)
            | Self::Reads(who)
            | Self::Deposed(who, _)
            | Self::Refused(who, _)
            | Self::Unready(who, ..)
            | Self::Ready(who, _)
            | Self::Judged(who)
            | Self::Honest(who)
            | Self::Out(who) => vec![who],
            Self::Links(_) | Self::Flood(..) | Self::Acks(_) => Vec::new(),
        }
    }
}

/// The number of a resolved node.
fn at(who: Who) -> usize {
    match who {
        Who::Node(index) => index,
        Who::Leader | Who::Same => unreachable!("steps are resolved before they are taken"),
    }
}

const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
