//! The word `gateway`: the machine that this container runs on, as the routing table names it.
//!
//! # Invariants
//! - Pure, but for [`Routes::read`].
//! - The word never reaches a parser of hosts: it is an address by then, or a problem.
//! - Outside a container it is a problem: there the gateway is another machine.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;

use super::problem::{Origin, Problems};
use super::resolve::{Shown, Values};
use crate::orbit::client;
use crate::reconcile::webhook::Machine;

/// What people write.
pub const WORD: &str = "gateway";
const IPV4: &str = "/proc/net/route";
const IPV6: &str = "/proc/net/ipv6_route";
/// What Docker and Podman put into each container.
const MARKS: [&str; 2] = ["/.dockerenv", "/run/.containerenv"];
/// Flags of a route.
const UP: u32 = 0x1;
const BY_GATEWAY: u32 = 0x2;
const REJECT: u32 = 0x200;

/// The kernel's routing tables, as it writes them, and whose they are.
#[derive(Clone, Debug, Default)]
pub struct Routes {
    /// `/proc/net/route`.
    pub ipv4: String,
    /// `/proc/net/ipv6_route`.
    pub ipv6: String,
    /// Whether this is a container.
    pub in_container: bool,
}

impl Routes {
    /// Reads them; one that is not there has no routes.
    pub fn read() -> Self {
        let read = |path| std::fs::read_to_string(path).unwrap_or_default();
        Self {
            ipv4: read(IPV4),
            ipv6: read(IPV6),
            in_container: MARKS.iter().any(|mark| Path::new(mark).exists()),
        }
    }

    /// The machine of this container: the gateway of the default route with the lowest metric; by
    /// IPv6 only where IPv4 has none.
    pub fn gateway(&self) -> Option<IpAddr> {
        if !self.in_container {
            return None;
        }
        let ipv4 = self.ipv4.lines().filter_map(default_by_ipv4).min();
        let ipv6 = || self.ipv6.lines().filter_map(default_by_ipv6).min();
        ipv4.map(|(_, gateway)| gateway.into())
            .or_else(|| ipv6().map(|(_, gateway)| gateway.into()))
    }
}

/// Metric and gateway of a line that is a default route.
fn default_by_ipv4(line: &str) -> Option<(u32, Ipv4Addr)> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let [_, to, gateway, flags, _, _, metric, mask, ..] = *columns else {
        return None;
    };
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let (gateway, metric) = (hex(gateway)?, metric.parse().ok()?);
    let is_default = hex(to)? == 0 && hex(mask)? == 0 && gateway != 0 && is_used(hex(flags)?);
    // The bytes stand in the order of the machine.
    is_default.then(|| (metric, Ipv4Addr::from(gateway.to_ne_bytes())))
}

fn default_by_ipv6(line: &str) -> Option<(u32, Ipv6Addr)> {
    let columns: Vec<_> = line.split_whitespace().collect();
    let [to, prefix, _, _, gateway, metric, _, _, flags, ..] = *columns else {
        return None;
    };
    let hex = |text| u32::from_str_radix(text, 16).ok();
    let address = |text| {
        let bits = u128::from_str_radix(text, 16).ok()?;
        Some(Ipv6Addr::from_bits(bits))
    };
    let gateway = address(gateway)?;
    let is_default = address(to)?.is_unspecified() && hex(prefix)? == 0 && is_used(hex(flags)?);
    // A link-local one is no address without its interface, and no URL can name that.
    let can_be_named = !gateway.is_unspecified() && !gateway.is_unicast_link_local();
    (is_default && can_be_named).then_some((hex(metric)?, gateway))
}

fn is_used(flags: u32) -> bool {
    flags & (UP | BY_GATEWAY | REJECT) == UP | BY_GATEWAY
}

/// Puts the gateway's address in the place of the word, says both in what is shown, and tells whose
/// machine Orbit runs on. In an extension, where Orbit is the gateway and nobody says how its
/// certificate is verified, any is accepted: the package's own compose file says that the gateway is
/// this same machine, and the name in the certificate never fits.
pub(super) fn settle(
    values: &mut Values,
    routes: &Routes,
    shown: &mut [Shown],
    problems: &mut Problems,
) -> Machine {
    let gateway = routes.gateway();
    let mut orbit_is_gateway = false;
    for name in ["hostname", "webhook-host"] {
        let Some((text, origin)) = values.get(name) else {
            continue;
        };
        let items: Vec<_> = text.split(',').map(str::trim).collect();
        if !items.iter().any(|item| after_word(item).is_some()) {
            continue;
        }
        let Some(gateway) = gateway else {
            problems.of(values.read(name, |_| {
                let why = if routes.in_container {
                    format!("{IPV4} has no default route")
                } else {
                    format!(
                        "this is no container ({} are not there)",
                        MARKS.join(" and ")
                    )
                };
                Err::<(), _>(format!(
                    "`{WORD}` cannot be used: {why}; write the address itself"
                ))
            }));
            values.remove(name);
            continue;
        };
        let put = |item: &&str| {
            let rest = after_word(item);
            rest.map_or_else(|| (*item).to_owned(), |rest| written(gateway) + rest)
        };
        let told = |item: &&str| match after_word(item) {
            Some(_) => format!("{item} ({gateway})"),
            None => (*item).to_owned(),
        };
        let whole = items.iter().map(put).collect::<Vec<_>>().join(",");
        show(shown, name, |shown| {
            shown.value = items.iter().map(told).collect::<Vec<_>>().join(",");
        });
        let origin = origin.clone();
        values.set(name, whole, origin);
        orbit_is_gateway |= name == "hostname";
    }
    if orbit_is_gateway {
        let by_default = |(_, origin): &(&str, &Origin)| **origin == Origin::outside("default");
        let in_extension = values.get("package-dir").is_some();
        if in_extension && values.get("verify").as_ref().is_some_and(by_default) {
            let origin = Origin::outside(format!("default with {WORD}"));
            show(shown, "verify", |shown| {
                "false".clone_into(&mut shown.value);
                shown.origin = origin.to_string();
            });
            values.set("verify", "false".to_owned(), origin);
        }
        return Machine::Ours { gateway };
    }
    let host = values.get("hostname");
    let url = host.and_then(|(host, _)| client::base_url(host.trim()));
    let here = Machine::Ours { gateway };
    match url {
        Some(url) if Machine::is_loopback(&url) => Machine::Ours { gateway: None },
        // Its address in place of the word.
        Some(url) if here.is_ours(&url) => here,
        _ => Machine::Another,
    }
}

fn show(shown: &mut [Shown], name: &str, change: impl FnOnce(&mut Shown)) {
    let found = shown.iter_mut().find(|shown| shown.name == name);
    found.map(change);
}

/// What follows the word: nothing, or a port.
fn after_word(item: &str) -> Option<&str> {
    let (word, rest) = item.split_at_checked(WORD.len())?;
    let is_word = word.eq_ignore_ascii_case(WORD) && (rest.is_empty() || rest.starts_with(':'));
    is_word.then_some(rest)
}

fn written(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => format!("[{address}]"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str =
        "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n";
    const SIX: &str = "00000000000000000000000000000000 00 00000000000000000000000000000000 00";

    fn by(ipv4: &str, ipv6: &str) -> Option<String> {
        let routes = Routes {
            ipv4: format!("{HEAD}{ipv4}"),
            ipv6: ipv6.to_owned(),
            in_container: true,
        };
        let outside = Routes {
            in_container: false,
            ..routes.clone()
        };
        assert_eq!(outside.gateway(), None, "that would be another machine");
        routes.gateway().map(|gateway| gateway.to_string())
    }

    #[test]
    fn the_gateway_is_that_of_the_default_route_with_the_lowest_metric() {
        let docker = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n\
            eth0\t000011AC\t00000000\t0001\t0\t0\t0\t0000FFFF\t0\t0\t0\n";
        assert_eq!(by(docker, "").as_deref(), Some("172.17.0.1"));
        let two = "wlan0\t00000000\t0100000A\t0003\t0\t0\t600\t00000000\t0\t0\t0\n\
            eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        assert_eq!(by(two, "").as_deref(), Some("192.168.1.1"));
    }

    #[test]
    fn a_route_that_is_down_rejected_without_a_gateway_or_to_a_net_is_no_way_out() {
        for line in [
            "eth0\t00000000\t010011AC\t0002\t0\t0\t0\t00000000\t0\t0\t0",
            "*\t00000000\t010011AC\t0203\t0\t0\t0\t00000000\t0\t0\t0",
            "tun0\t00000000\t00000000\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t000000FF\t0\t0\t0",
            "eth0\t000011AC\t010011AC\t0003\t0\t0\t0\t0000FFFF\t0\t0\t0",
            "eth0\t00000000\tx\t0003\t0\t0\t0\t00000000\t0\t0\t0",
            "eth0\t00000000",
            "",
        ] {
            assert_eq!(by(line, ""), None, "{line}");
        }
    }

    #[test]
    fn ipv6_counts_only_where_ipv4_has_no_way_out_and_never_a_link_local_one() {
        let six = |gateway: &str, metric: &str, flags: &str| {
            format!("{SIX} {gateway} {metric} 00000003 00000000 {flags} eth0\n")
        };
        let (far, near) = (
            "fd00000000000000000000000000000f",
            "fd000000000000000000000000000001",
        );
        let two = six(far, "00000400", "00000003") + &six(near, "00000100", "00000003");
        assert_eq!(by("", &two).as_deref(), Some("fd00::1"));
        let docker = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";
        assert_eq!(by(docker, &two).as_deref(), Some("172.17.0.1"));
        let local = "fe800000000000000000000000000001";
        assert_eq!(by("", &six(local, "00000400", "00000003")), None);
        assert_eq!(by("", &six(&"0".repeat(32), "ffffffff", "00200200")), None);
    }
}
