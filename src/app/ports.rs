//! Whether the relay could listen where a configuration says.
//!
//! # Invariants
//! - Nothing is left open. Where the relay listens now is not tried: it is its own.

use std::net::{SocketAddr, TcpListener};

use crate::config::Config;

/// A port at which the relay could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen on {address}: {why}")]
pub struct CannotListen {
    /// The setting that says so.
    pub setting: &'static str,
    address: SocketAddr,
    why: std::io::Error,
}

/// Tries the addresses of a configuration, with `ours`: where the relay listens now.
pub fn try_ports(config: &Config, ours: [SocketAddr; 2]) -> Result<(), CannotListen> {
    let of = [
        ("webhook-port", config.listen),
        ("ops-bind", config.ops_listen),
    ];
    for (setting, address) in of {
        try_one(address, ours).map_err(|why| CannotListen {
            setting,
            address,
            why,
        })?;
    }
    Ok(())
}

fn try_one(address: SocketAddr, ours: [SocketAddr; 2]) -> std::io::Result<()> {
    if ours.contains(&address) {
        return Ok(());
    }
    let mut tried = address;
    if ours.iter().any(|ours| ours.port() == address.port()) {
        // Our own socket may hold the port: only the host can be tried.
        tried.set_port(0);
    }
    TcpListener::bind(tried).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_port_and_another_host_are_tried_and_our_own_are_not() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = taken.local_addr().unwrap();
        let far: SocketAddr = "127.0.0.1:1".parse().unwrap();
        assert!(try_one(at, [far, far]).is_err(), "somebody else's");
        assert!(try_one(at, [at, far]).is_ok(), "our own");
        let everywhere = SocketAddr::new("0.0.0.0".parse().unwrap(), at.port());
        assert!(try_one(everywhere, [at, far]).is_ok());
        // A block for documents: no machine has it.
        let elsewhere = SocketAddr::new("192.0.2.1".parse().unwrap(), at.port());
        assert!(try_one(elsewhere, [at, far]).is_err(), "no host of ours");
    }
}
