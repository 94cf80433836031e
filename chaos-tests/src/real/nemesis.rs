//! Takes the steps of a schedule: makes and ends faults, and keeps the account of what was broken.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;

use super::disk::{Flip, Place};
use super::load::Load;
use super::process::NodeProcess;
use super::schedule::{Action, DiskFault, NETWORK, Step, Tally, Who, isolating};
use super::shim::Word;
use super::topo::LinkFault;
use super::world::{Part, READY_WITHIN, World};

pub(super) const POLL: Duration = Duration::from_millis(100);
/// How long a node may take to be ready after the last fault is gone.
const HEALED_WITHIN: Duration = Duration::from_secs(30);
/// How long a fault may lie in wait until something meets it.
const STRUCK_WITHIN: Duration = Duration::from_secs(10);
const TICK: Duration = Duration::from_millis(5);
/// What no other node has: damage of it ends the node, and only flipping back repairs it.
const OWN: [Place; 3] = [Place::Wal, Place::Identity, Place::Watermark];
/// What the watermark needs to note the last sync.
const MARKED_AFTER: Duration = Duration::from_millis(600);

/// How long a node may end by itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Until {
    /// Until it is started again.
    Started,
    /// Until its data are whole again.
    Repaired,
}

/// Takes the steps.
pub struct Nemesis<'a> {
    pub(super) world: &'a mut World,
    pub(super) load: &'a Load,
    pub(super) say: &'a (dyn Fn(String) + Sync),
    rng: ChaCha8Rng,
    same: usize,
    /// Nodes that may end by themselves, and until when.
    excused: BTreeMap<usize, Until>,
    /// Terms of the groups when links were cut last.
    pub(super) terms: BTreeMap<String, u64>,
    /// Requests of the last flood that were refused.
    pub(super) refused: u64,
    /// Class of the last fault.
    pub(super) last: &'static str,
    flips: BTreeMap<usize, Vec<Flip>>,
    pub(super) noted: BTreeMap<usize, BTreeMap<String, (u64, u64)>>,
    links: Vec<LinkFault>,
    /// Faults that took effect.
    pub tally: Tally,
    /// Promises that were broken.
    pub broken: Vec<String>,
    /// Milliseconds to the next acknowledgement, by the class of the fault before.
    pub gaps_ms: BTreeMap<String, Vec<u64>>,
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
            excused: BTreeMap::new(),
            terms: BTreeMap::new(),
            refused: 0,
            last: "start",
            flips: BTreeMap::new(),
            noted: BTreeMap::new(),
            links: Vec::new(),
            tally: Tally::default(),
            broken: Vec::new(),
            gaps_ms: BTreeMap::new(),
            taken: Vec::new(),
        }
    }

    /// Takes all steps. An error is a fault that could not be made; what is broken is listed.
    pub async fn run(&mut self, steps: &[Step]) -> Result<()> {
        // What a long run is late by: its faults must last as long as they are meant to all the same.
        let mut late_ms = 0;
        for step in steps {
            while self.load.now_ms() < step.at_ms + late_ms {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            if let Action::Rest(until) = step.action {
                if self.load.now_ms() >= until {
                    return Ok(());
                }
                late_ms = self.load.now_ms().saturating_sub(step.at_ms);
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
            self.excuse(&action);
            self.who_ended();
            let took = self.load.now_ms() - at_ms;
            let verdict = if self.broken.len() > before {
                " BROKEN"
            } else {
                ""
            };
            (self.say)(format!("  {at_ms:>6} ms  {action:?} ({took} ms){verdict}"));
            if let Some((class, count)) = action.class() {
                self.last = class;
                // Faults of links are counted when they end, by what they did.
                if class != NETWORK {
                    self.tally.add(class, count);
                }
            }
        }
        Ok(())
    }

    /// Notes which nodes may end by themselves after this step.
    fn excuse(&mut self, action: &Action) {
        match action {
            Action::Flip(who, place) | Action::Delete(who, place) if OWN.contains(place) => {
                self.excused.insert(at(*who), Until::Repaired);
            }
            Action::Truncate(who, _) | Action::Restore(who) | Action::Wipe(who) => {
                self.excused.insert(at(*who), Until::Repaired);
            }
            // Once it has left; that it ended as one that has is looked at then (`Action::Gone`).
            Action::Drain(who) => {
                self.excused.insert(at(*who), Until::Repaired);
            }
            // Who had refused the damaged data has ended, and stays so until it is started.
            Action::FlipBack(who) => {
                self.excused.insert(at(*who), Until::Started);
            }
            Action::StartOn(who, _) | Action::ReadOnly(who) | Action::OutOfMemory(who, ..) => {
                self.excused.entry(at(*who)).or_insert(Until::Started);
            }
            Action::Start(who) => {
                let is_over = |who: &Who| self.excused.get(&at(*who)) == Some(&Until::Started);
                let over: Vec<usize> = who
                    .iter()
                    .filter(|who| is_over(who))
                    .map(|who| at(*who))
                    .collect();
                over.iter().for_each(|index| {
                    self.excused.remove(index);
                });
            }
            _ => {}
        }
    }

    /// A node that nothing was done to goes on: whoever has ended by itself is a broken promise, once.
    fn who_ended(&mut self) {
        for index in 0..self.world.nodes.len() {
            if self.excused.contains_key(&index) || self.world.nodes[index].out {
                continue;
            }
            let process = self.world.nodes[index].process.as_mut();
            let ended = process.and_then(|p| Some((p.ended()?, p.log_tail())));
            if let Some((status, log)) = ended {
                self.fail(format!(
                    "node {} ended by itself ({status}): {log}",
                    index + 1
                ));
                self.excused.insert(index, Until::Started);
            }
        }
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
                end @ (Who::Receiver | Who::Sender) => {
                    self.same = self.end_of_a_move(end == Who::Receiver).await?;
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
            for asked in self.world.members() {
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

    pub(super) fn fail(&mut self, what: String) {
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
                let flips = self.flips.remove(&at(*who)).unwrap_or_default();
                // A node that found nothing wrong with its log may have let go of it.
                let left = flips.iter().filter(|flip| flip.has_its_file());
                left.into_iter().try_for_each(Flip::apply)?;
            }
            Action::Truncate(who, bytes) => self.truncate(at(*who), *bytes)?,
            Action::Delete(who, place) => {
                let files = self.world.nodes[at(*who)].disk.files(*place)?;
                files.iter().try_for_each(std::fs::remove_file)?;
            }
            Action::Shorten(who, place) => {
                for path in self.world.nodes[at(*who)].disk.files(*place)? {
                    let file = std::fs::OpenOptions::new().write(true).open(path)?;
                    let length = file.metadata()?.len();
                    file.set_len(length.saturating_sub(1))?;
                }
            }
            Action::Backup(who) => self.copy(at(*who), "data", "backup")?,
            Action::Restore(who) => self.copy(at(*who), "backup", "data")?,
            Action::Wipe(who) => std::fs::remove_dir_all(self.world.nodes[at(*who)].disk.data())?,
            Action::Links(faults) => self.set_links(faults.clone()).await?,
            Action::Isolate(who) => self.isolate(at(*who)).await?,
            Action::Reset(who) => self.world.topo.reset_connections(at(*who))?,
            Action::Clock(who, millis) => {
                self.move_clock(at(*who), *millis).await?;
            }
            Action::OutOfMemory(who, mib, within) => {
                self.out_of_memory(at(*who), *mib, ms(*within)).await?;
            }
            Action::Cpu(who, percent) => {
                let node = &self.world.nodes[at(*who)];
                let process = node.process.as_ref().context("it does not run")?;
                process.limit_cpu(&self.world.ground, *percent)?;
                if *percent == 0 && process.times_starved(&self.world.ground)? == 0 {
                    bail!("the node never wanted more than its share");
                }
            }
            Action::Flood(writers, batch, millis) => {
                self.refused = self.load.flood(*writers, *batch, ms(*millis)).await?;
                (self.say)(format!(
                    "          {} requests refused with 429 or 503",
                    self.refused
                ));
            }
            Action::Rest(_) => {}
            Action::Join(who) => self.join(at(*who)).await?,
            Action::Drain(who) => self.drain(at(*who)).await?,
            Action::Die(who) => {
                self.world.kill(at(*who))?;
                self.world.nodes[at(*who)].part = Part::Left;
            }
            Action::Stop(who) => {
                if let Some(said) = self.world.stop_node(at(*who))? {
                    self.fail(said);
                }
            }
            Action::Spread => self.spread().await?,
            asked => self.ask(asked).await?,
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
            if struck.elapsed() > STRUCK_WITHIN {
                bail!("nothing met the fault of the disk");
            }
            tokio::time::sleep(TICK).await;
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
        // What others have too is replaced by itself.
        if OWN.contains(&place) {
            self.flips.entry(index).or_default().push(flip);
        }
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
        // Whoever puts a copy back waits until it is on the disk; the store syncs no file again that it finds.
        super::ground::run("sync", &["-f", &to])?;
        Ok(())
    }

    async fn isolate(&mut self, index: usize) -> Result<()> {
        self.set_links(isolating(index, self.world.nodes.len()))
            .await
    }

    /// The wall clock of a node is off from now on, and the node has looked at it.
    async fn move_clock(&mut self, index: usize, millis: i64) -> Result<()> {
        let page = &self.world.nodes[index].page;
        let before = page.get(Word::ClocksMoved)?;
        page.set(Word::ClockNanos, millis * 1_000_000)?;
        let moved = Instant::now();
        while millis != 0 && page.get(Word::ClocksMoved)? == before {
            if moved.elapsed() > STRUCK_WITHIN {
                bail!("the node never looked at its clock");
            }
            tokio::time::sleep(TICK).await;
        }
        Ok(())
    }

    async fn set_links(&mut self, faults: Vec<LinkFault>) -> Result<()> {
        if !self.links.is_empty() {
            let dropped = self.world.topo.dropped()?;
            (self.say)(format!("          {dropped} packets were dropped"));
            // A link that nothing went over was not cut: it does not count.
            if dropped > 0 {
                self.tally.add(NETWORK, 1);
            }
        }
        if !faults.is_empty() {
            self.terms = self.world.terms().await;
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

    /// Ends the faults of links and disks, thaws, brings every node back that is not out, and waits until all take traffic.
    pub async fn heal(&mut self) -> Result<()> {
        self.set_links(Vec::new()).await?;
        for index in 0..self.world.nodes.len() {
            let node = &mut self.world.nodes[index];
            node.page.heal_disk()?;
            node.disk.free()?;
            if let Some(process) = &mut node.process {
                process.thaw()?;
            }
            if !node.takes_part() {
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
            if !self.world.nodes[index].takes_part() {
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
        for index in 0..self.world.nodes.len() {
            if self.world.nodes[index].takes_part() {
                self.mended(index, HEALED_WITHIN).await?;
            }
        }
        Ok(())
    }
}

/// The number of a resolved node.
pub(super) fn at(who: Who) -> usize {
    match who {
        Who::Node(index) => index,
        Who::Leader | Who::Receiver | Who::Sender | Who::Same => {
            unreachable!("steps are resolved before they are taken")
        }
    }
}

pub(super) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}
