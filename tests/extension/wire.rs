//! TLS, names and addresses from inside the image, which has no files of the system.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use orbit_relay::clock::Clock;
use orbit_relay::sim::backend::{Backend, BackendConfig, Tls};
use orbit_relay::sim::proxy::Proxy;
use tempfile::TempDir;
use tokio::net::UdpSocket;

use crate::docker::{Container, gateway, soon};
use crate::package::{IMAGE, loaded};
use crate::process::{SECRET, Web};
use crate::site::any_port_of_the_gateway;

/// A folder that the relay in a container may read.
fn folder() -> TempDir {
    use std::os::unix::fs::PermissionsExt as _;

    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    folder
}

async fn plant(listen: SocketAddr, tls: Tls) -> Backend {
    let clock = Clock::system();
    let config = BackendConfig { listen, clock, tls };
    Backend::start(config).await.unwrap()
}

/// A relay without Orbit, its webhook port on this loopback port of the host.
fn relay(port: u16, config: &Path, arguments: &[&str]) -> Container {
    let mount = format!("{}:/config:ro", config.display());
    let secret = format!("WEBHOOK_SECRET={SECRET}");
    let port = format!("WEBHOOK_PORT={port}");
    let ours = [
        "--read-only",
        "--cap-drop",
        "ALL",
        "--volume",
        "/data",
        "--volume",
        &mount,
        "--env",
        &secret,
    ];
    let ours = [&ours[..], &["--env", &port], arguments, &[IMAGE]].concat();
    Container::run(&ours)
}

async fn post(port: u16, n: usize) {
    let body = format!(
        r#"{{"uuid":"e-{n}","type":"ACTION_COMPLETED","time":"2026-11-22T00:00:00.000Z","data":{{"uuid":"d-{n}"}}}}"#
    );
    let at = (Ipv4Addr::LOCALHOST, port).into();
    let web = Web::new();
    let taken = async {
        // Until the journal is open it is 503, and before that nobody listens.
        while !matches!(web.post_event(at, SECRET, body.as_bytes()).await, Ok(answer) if answer.status == 200)
        {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    soon(taken).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_in_the_shipped_image_believes_who_it_should_and_nobody_else() {
    let _package = loaded();
    let any = || (Ipv4Addr::LOCALHOST, 0).into();
    let private = plant(any(), Tls::PrivateAuthority).await;
    let mutual = plant(any(), Tls::RequireClient).await;
    let stranger = plant(any(), Tls::SelfSigned).await;
    let proxy = Proxy::start(any()).await.unwrap();
    let config = folder();
    let write = |name: &str, text: &str| std::fs::write(config.path().join(name), text).unwrap();
    write("ca.pem", private.authority_pem().unwrap());
    write("mutual-ca.pem", mutual.authority_pem().unwrap());
    let client = mutual.client_identity().unwrap();
    write("client.pem", &client.certificate_pem);
    write("client.key", &client.key_pem);
    let through = proxy.url();
    let destination = |name: &str, plant: &Backend, more: &str| {
        let url = plant.url_of(&format!("/{name}"));
        format!(
            "[[destination]]\nname = \"{name}\"\nurl = \"{url}\"\nevents = [\"ACTION_COMPLETED\"]\n{more}\n"
        )
    };
    let ca = "tls = { ca_file = \"/config/ca.pem\" }";
    let file = [
        destination("private", &private, ca),
        destination("proxied", &private, &format!("{ca}\nproxy = \"{through}\"")),
        destination(
            "mutual",
            &mutual,
            "tls = { ca_file = \"/config/mutual-ca.pem\", client_cert_file = \"/config/client.pem\", client_key_file = \"/config/client.key\" }",
        ),
        // None of these may hear a word: public authorities alone, somebody else's authority, the
        // same through the proxy, and no certificate of the client.
        destination("public", &private, ""),
        destination("stranger", &stranger, ca),
        destination(
            "proxied-stranger",
            &stranger,
            &format!("{ca}\nproxy = \"{through}\""),
        ),
        destination(
            "anonymous",
            &mutual,
            "tls = { ca_file = \"/config/mutual-ca.pem\" }",
        ),
    ];
    write("relay.toml", &file.join("\n"));

    let relay = relay(
        21699,
        config.path(),
        &["--network", "host", "--env", "OPS_BIND=127.0.0.1:0"],
    );
    relay.line("events at http").await;
    post(21699, 1).await;
    for name in ["private", "proxied"] {
        let path = format!("/{name}");
        soon(
            private
                .world()
                .wait_until_at(&path, |tally| tally.accepted == 1),
        )
        .await;
    }
    soon(
        mutual
            .world()
            .wait_until_at("/mutual", |tally| tally.accepted == 1),
    )
    .await;
    for (name, why) in [
        ("public", &["does not verify"][..]),
        ("stranger", &["does not verify"]),
        ("proxied-stranger", &["does not verify"]),
        // By TLS 1.3 the refusal may come after the request was written.
        ("anonymous", &["ertificateRequired", "broke", "reset"]),
    ] {
        let line = relay.line(&format!("destination=\"{name}\"")).await;
        assert!(why.iter().any(|why| line.contains(why)), "{line}");
    }
    assert_eq!(private.world().tally().attempts, 2, "{}", relay.logs());
    assert_eq!(mutual.world().tally().attempts, 1, "{}", relay.logs());
    assert_eq!(stranger.world().tally().attempts, 0, "{}", relay.logs());
    assert!(
        proxy
            .world()
            .targets()
            .contains(&stranger.addr().to_string())
    );
}

/// Answers every question for an IPv4 address with this one; there is no IPv6 address.
async fn name_server(answer: Ipv4Addr) -> SocketAddr {
    let socket = UdpSocket::bind(format!("{}:53", gateway())).await.unwrap();
    let at = socket.local_addr().unwrap();
    tokio::spawn(async move {
        let mut question = [0; 512];
        while let Ok((length, from)) = socket.recv_from(&mut question).await {
            let asked = &question[12..length];
            let end = asked.iter().position(|byte| *byte == 0).unwrap() + 5;
            let wants_ipv4 = asked[end - 4..end - 2] == [0, 1];
            // The same id; an answer, recursion available; one question, one answer or none.
            let mut reply = question[..2].to_vec();
            reply.extend([0x81, 0x80, 0, 1, 0, u8::from(wants_ipv4), 0, 0, 0, 0]);
            reply.extend(&asked[..end]);
            if wants_ipv4 {
                // The name of the question, an A record of a minute.
                reply.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4]);
                reply.extend(answer.octets());
            }
            socket.send_to(&reply, from).await.unwrap();
        }
    });
    at
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_found_in_dns_and_in_the_hosts_of_compose() {
    let _package = loaded();
    let plant = plant(any_port_of_the_gateway(), Tls::Off).await;
    let server = name_server(gateway().parse().unwrap()).await;
    let (config, port) = (folder(), plant.addr().port());
    let destination = |name: &str, host: &str| {
        format!(
            "[[destination]]\nname = \"{name}\"\nurl = \"http://{host}:{port}/{name}\"\nevents = [\"ACTION_COMPLETED\"]\n"
        )
    };
    let file = destination("dns", "cmms.plant.example") + &destination("hosts", "historian.plant");
    std::fs::write(config.path().join("relay.toml"), file).unwrap();
    let hosts = format!("historian.plant:{}", gateway());
    let dns = server.ip().to_string();
    let relay = relay(
        21600,
        config.path(),
        &[
            "--add-host",
            &hosts,
            "--dns",
            &dns,
            "--publish",
            "127.0.0.1:21698:21600",
            "--env",
            "LOG_FORMAT=json",
        ],
    );
    post(21698, 2).await;
    for path in ["/dns", "/hosts"] {
        soon(
            plant
                .world()
                .wait_until_at(path, |tally| tally.accepted == 1),
        )
        .await;
    }
    for line in relay.logs().lines() {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert!(line["message"].is_string(), "{line}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ipv6_literal_and_a_time_zone_work_without_files_of_the_system() {
    let _package = loaded();
    let plant = plant("[::1]:0".parse().unwrap(), Tls::Off).await;
    let config = folder();
    let url = format!("INTEGRATION_URL={}", plant.url());
    let relay = relay(
        21697,
        config.path(),
        &[
            "--network",
            "host",
            "--env",
            "OPS_BIND=[::1]:0",
            "--env",
            &url,
            "--env",
            "TZ=Asia/Kathmandu",
        ],
    );
    post(21697, 3).await;
    soon(plant.world().wait_for(1)).await;
    let line = relay.line("events at http").await;
    assert!(line.contains("+05:45"), "{line}");
}
