//! The network of a run: one namespace per node, all on one bridge in a namespace of its own.
//!
//! The test itself reaches the nodes through one more cable into the bridge, which no fault touches,
//! so that a node cut off from its peers can still be asked what it believes. Faults lie in the bridge:
//! rules over pairs of addresses, each for one direction.

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};
use std::net::Ipv4Addr;

use super::ground::{Ground, Made, run, run_with};

/// One direction of one link, and what is wrong with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinkFault {
    /// Sending node.
    pub from: usize,
    /// Receiving node.
    pub to: usize,
    /// What happens to its packets.
    pub what: Damage,
}

/// What happens to packets of a link.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Damage {
    /// All are dropped.
    Cut,
    /// Large ones are dropped: heartbeats pass, entries do not.
    Gray,
    /// This share of them, in percent, is dropped.
    Loss(u8),
}

/// Packets above this length are large, in bytes.
const LARGE_BYTES: u32 = 1_000;

/// The namespaces and cables of a run.
pub struct Topo {
    switch: String,
    hosts: Vec<String>,
    net: [u8; 2],
}

impl Topo {
    /// Builds the network of `count` nodes.
    pub fn create(ground: &Ground, count: usize) -> Result<Self> {
        let prefix = format!("hl{}", ground.name());
        let topo = Self {
            switch: format!("{prefix}sw"),
            hosts: (1..=count).map(|node| format!("{prefix}n{node}")).collect(),
            net: free_net()?,
        };
        topo.add_namespace(ground, &topo.switch)?;
        let switch = topo.switch.as_str();
        run(
            "ip",
            &["-n", switch, "link", "add", "br0", "type", "bridge"],
        )?;
        run("ip", &["-n", switch, "link", "set", "br0", "up"])?;
        for (index, host) in topo.hosts.iter().enumerate() {
            topo.add_namespace(ground, host)?;
            let port = format!("p{}", index + 1);
            run(
                "ip",
                &[
                    "link", "add", "eth0", "netns", host, "type", "veth", "peer", "name", &port,
                    "netns", switch,
                ],
            )?;
            run(
                "ip",
                &["-n", switch, "link", "set", &port, "master", "br0", "up"],
            )?;
            let address = format!("{}/24", topo.address(index));
            run("ip", &["-n", host, "addr", "add", &address, "dev", "eth0"])?;
            run("ip", &["-n", host, "link", "set", "eth0", "up"])?;
        }
        topo.add_own_cable(&prefix)?;
        Ok(topo)
    }

    fn add_namespace(&self, ground: &Ground, name: &str) -> Result<()> {
        ground.note(&Made::Namespace(name.to_owned()))?;
        run("ip", &["netns", "add", name])?;
        run("ip", &["-n", name, "link", "set", "lo", "up"])?;
        Ok(())
    }

    /// The cable of the test; it goes when the switch does.
    fn add_own_cable(&self, prefix: &str) -> Result<()> {
        let (switch, own) = (self.switch.as_str(), prefix);
        run(
            "ip",
            &[
                "link", "add", own, "type", "veth", "peer", "name", "own", "netns", switch,
            ],
        )?;
        run(
            "ip",
            &["-n", switch, "link", "set", "own", "master", "br0", "up"],
        )?;
        let address = format!("{}/24", self.ip(254));
        run("ip", &["addr", "add", &address, "dev", own])?;
        run("ip", &["link", "set", own, "up"])?;
        Ok(())
    }

    fn ip(&self, host: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, self.net[0], self.net[1], host)
    }

    /// Address of node `index`.
    pub fn address(&self, index: usize) -> Ipv4Addr {
        self.ip(u8::try_from(index + 1).unwrap_or(u8::MAX))
    }

    /// The words that run a program in the namespace of node `index`. Not `ip netns exec`: that makes a
    /// mount namespace too, which would keep every other node's file system mounted.
    pub fn inside(&self, index: usize) -> Result<[String; 2]> {
        let host = self.hosts.get(index).context("no such node")?;
        Ok(["nsenter".into(), format!("--net=/run/netns/{host}")])
    }

    /// Makes these the only faults of the network.
    pub fn set_links(&self, faults: &[LinkFault]) -> Result<()> {
        let mut rules = String::from("table bridge chaos\ndelete table bridge chaos\n");
        if !faults.is_empty() {
            rules.push_str(
                "table bridge chaos {\nchain cut {\ntype filter hook forward priority 0;\n",
            );
            for fault in faults {
                let what = match fault.what {
                    Damage::Cut => String::new(),
                    Damage::Gray => format!("meta length > {LARGE_BYTES} "),
                    Damage::Loss(percent) => format!("numgen random mod 100 < {percent} "),
                };
                let (from, to) = (self.address(fault.from), self.address(fault.to));
                rules.push_str(&format!(
                    "ip saddr {from} ip daddr {to} {what}counter drop\n"
                ));
            }
            rules.push_str("}\n}\n");
        }
        let namespace = format!("--net=/run/netns/{}", self.switch);
        run_with("nsenter", &[&namespace, "nft", "-f", "-"], &rules)?;
        Ok(())
    }

    /// Packets that the present faults have dropped.
    pub fn dropped(&self) -> Result<u64> {
        let namespace = format!("--net=/run/netns/{}", self.switch);
        let rules = run("nsenter", &[&namespace, "nft", "list", "ruleset"])?;
        let counts = rules.split("counter packets ").skip(1);
        Ok(counts
            .filter_map(|rest| rest.split(' ').next()?.parse::<u64>().ok())
            .sum())
    }

    /// Ends every TCP connection between node `index` and other nodes, as a reset; there must be some.
    pub fn reset_connections(&self, index: usize) -> Result<()> {
        let [enter, namespace] = self.inside(index)?;
        let mut ended = 0;
        for other in (0..self.hosts.len()).filter(|other| *other != index) {
            let address = self.address(other).to_string();
            let said = run(&enter, &[&namespace, "ss", "-H", "-K", "dst", &address])?;
            ended += said.lines().count();
        }
        ensure!(ended > 0, "no connection was reset");
        Ok(())
    }
}

/// Two numbers that make a net 10.x.y.0/24 which this machine does not have yet.
fn free_net() -> Result<[u8; 2]> {
    let taken = run("ip", &["-o", "-4", "addr"])? + &run("ip", &["-4", "route"])?;
    let first = std::process::id();
    (0..4_096_u32)
        .map(|step| {
            let number = first.wrapping_mul(37).wrapping_add(step);
            [64 + (number % 128) as u8, (number / 128 % 250) as u8]
        })
        .find(|[a, b]| !taken.contains(&format!("10.{a}.{b}.")))
        .context("no free net")
}
