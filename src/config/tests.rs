//! What the configuration promises: precedence, kindness, and errors without secrets.

use super::*;
use crate::http::Trust;

const KEY: &str = "abababababababababababababababababababababababababababababababab";

fn input(flags: &[(&str, &str)], environment: &[(&str, &str)], dotenv: Option<&str>) -> Input {
    let owned = |pairs: &[(&str, &str)]| {
        pairs
            .iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    Input {
        flags: owned(flags),
        environment: owned(environment),
        dotenvs: dotenv
            .map(|dotenv| text(Level::WorkingDir, ".env", dotenv))
            .into_iter()
            .collect(),
        ..Input::default()
    }
}

fn text(level: Level, path: &str, text: &str) -> Text {
    Text {
        level,
        path: path.into(),
        bytes: text.as_bytes().to_vec(),
    }
}

fn with_file(input: Input, file: &str) -> Input {
    Input {
        file: Some(text(Level::ConfigDir, "relay.toml", file)),
        ..input
    }
}

fn load(flags: &[(&str, &str)], environment: &[(&str, &str)], dotenv: &str) -> Config {
    Config::load(&input(flags, environment, Some(dotenv))).unwrap()
}

fn error(environment: &[(&str, &str)]) -> String {
    Config::load(&input(&[], environment, None))
        .unwrap_err()
        .to_string()
}

#[test]
fn a_webhook_host_of_none_means_polling_and_needs_orbit_and_a_token() {
    let flags = [("webhook-host", "none"), ("webhook-port", "80")];
    let secret = "ab".repeat(32);
    let given = [("WEBHOOK_SECRET", &*secret)];
    let config = load(&flags, &given, "");
    assert!(config.webhook.urls.is_empty());
    let why = config.not_configured.unwrap();
    assert!(why.contains("--webhook-host none"), "{why}");
    assert_eq!(config.warnings, [""; 0], "ports and hosts do not matter");
    let orbit = [("ORBIT_HOSTNAME", "orbit"), ("ORBIT_API_TOKEN", "t")];
    assert_eq!(load(&flags, &orbit, "").not_configured, None);
}

#[test]
fn flags_win_over_the_environment_over_dotenv_over_the_file_over_the_default() {
    let dir = |flags: &[_], environment: &[_], dotenv| {
        let input = input(flags, environment, Some(dotenv));
        let config = Config::load(&with_file(input, "\ndata_dir = \"/file\"\n")).unwrap();
        let shown = config.shown.iter().find(|s| s.name == "data-dir").unwrap();
        (config.data_dir.display().to_string(), shown.origin.clone())
    };
    let flag = [("data-dir", "/flag")];
    let environment = [("DATA_DIR", "/environment")];
    let dotenv = "\n DATA_DIR = /dotenv\n";
    assert_eq!(
        dir(&flag, &environment, dotenv),
        ("/flag".into(), "--data-dir".into())
    );
    assert_eq!(
        dir(&[], &environment, dotenv),
        ("/environment".into(), "DATA_DIR".into())
    );
    assert_eq!(
        dir(&[], &[("DATA_DIR", "")], dotenv).1,
        "DATA_DIR in .env, line 2"
    );
    assert_eq!(
        dir(&[], &[], "DATA_DIR="),
        ("/file".into(), "relay.toml:2".into())
    );
    let neither = load(&[], &[], "DATA_DIR=");
    assert_eq!(neither.data_dir.display().to_string(), "./data");
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let input = input(&[("bind", "x")], &[("MAX_AGE", "soon")], None);
    let error = Config::load(&with_file(input, "log_level = \"loud\"\nx = 1\n")).unwrap_err();
    insta::assert_snapshot!(error.to_string());
}

#[test]
fn the_first_variable_that_is_set_counts() {
    let both = [
        ("BACKEND_URL", "http://b.example/"),
        ("INTEGRATION_URL", "http://a.example/"),
    ];
    let url = |environment: &[_]| {
        load(&[], environment, "")
            .destinations
            .remove(0)
            .destination
            .url
            .to_string()
    };
    assert_eq!(url(&both), "http://a.example/");
    assert_eq!(url(&both[..1]), "http://b.example/");
}

#[test]
fn a_secret_may_stand_in_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("secret");
    std::fs::write(&path, format!("{KEY}\n")).unwrap();
    let config = load(&[], &[("SECRET_FILE", path.to_str().unwrap())], "");
    assert_eq!(config.secret.unwrap().expose_hex(), KEY);
    let missing = error(&[("SECRET_FILE", "/nowhere/secret")]);
    assert!(
        missing.starts_with("SECRET_FILE: /nowhere/secret cannot be read"),
        "{missing}"
    );
}

#[test]
fn no_secret_is_shown_and_none_is_in_an_error() {
    let config = load(
        &[],
        &[
            ("WEBHOOK_SECRET", KEY),
            ("ORBIT_API_TOKEN", "canary-token"),
            (
                "INTEGRATION_URL",
                "https://me:canary@plant.example/x?sig=canary",
            ),
        ],
        "",
    );
    let shown = format!("{:?} {config:?}", config.shown);
    assert!(
        !shown.contains("canary-token") && !shown.contains(KEY),
        "{shown}"
    );
    assert!(!format!("{:?}", config.shown).contains("canary"));
    for environment in [
        [("WEBHOOK_SECRET", "canary")],
        [("ORBIT_API_TOKEN", "canary canary")],
        [("INTEGRATION_AUTH", "canary")],
        [("INTEGRATION_URL", "https://me:canary@")],
    ] {
        assert!(!error(&environment).contains("canary"), "{environment:?}");
    }
}

#[test]
fn a_bad_value_names_where_it_came_from_and_what_is_accepted() {
    let errors: Vec<_> = [
        ("ORBIT_HOSTNAME", "https://orbit.example"),
        ("ORBIT_VERIFY", "/nowhere.pem"),
        ("ORBIT_VERIFY", "sha256:ab:cd"),
        ("WEBHOOK_PORT", "70000"),
        ("WEBHOOK_HOST", "http://me"),
        ("BIND", "0.0.0.0:1"),
        ("OPS_BIND", "22101"),
        ("WEBHOOK_ENABLED", "yes"),
        ("MAX_AGE", "5"),
        ("WEBHOOK_SECRET", "abc"),
        ("INTEGRATION_AUTH", "secret"),
        ("LOG_FORMAT", "xml"),
        ("LOG_LEVEL", "loud"),
        ("INTEGRATION_URL", "plant"),
    ]
    .into_iter()
    .map(|pair| error(&[pair]))
    .collect();
    insta::assert_snapshot!(errors.join("\n"));
}

#[test]
fn verify_takes_true_and_false_in_any_case() {
    for (text, anything) in [("True", false), ("FALSE", true), ("false", true)] {
        let environment = [
            ("ORBIT_HOSTNAME", "orbit"),
            ("API_TOKEN", "t"),
            ("ORBIT_VERIFY", text),
        ];
        let trust = load(&[], &environment, "").orbit.unwrap().trust;
        assert_eq!(matches!(trust, Trust::Anything), anything, "{text}");
    }
}

#[test]
fn nothing_configured_is_no_error_but_said() {
    let why = |environment: &[_]| load(&[], environment, "").not_configured;
    assert!(
        why(&[])
            .unwrap()
            .contains("ORBIT_HOSTNAME and ORBIT_API_TOKEN")
    );
    assert!(
        why(&[("ORBIT_HOSTNAME", "orbit")])
            .unwrap()
            .contains("set ORBIT_API_TOKEN")
    );
    assert!(
        why(&[("API_TOKEN", "t")])
            .unwrap()
            .contains("set ORBIT_HOSTNAME,")
    );
    assert_eq!(why(&[("SECRET", KEY)]), None);
    assert_eq!(
        why(&[("ORBIT_HOSTNAME", "orbit"), ("API_TOKEN", "t")]),
        None
    );
}

#[test]
fn a_time_zone_is_known_by_its_name_and_the_nearest_right_one_is_named() {
    let zone = |name| load(&[], &[("TZ", name)], "").log.zone;
    assert_eq!(zone(""), jiff::tz::TimeZone::UTC);
    assert_eq!(zone("UTC"), jiff::tz::TimeZone::UTC);
    assert_eq!(zone(":Europe/Berlin").iana_name(), Some("Europe/Berlin"));
    for (wrong, right) in [
        ("Europe/Berln", "did you mean `Europe/Berlin`?"),
        ("Berlin", "did you mean `Europe/Berlin`?"),
        ("seoul", "did you mean `Asia/Seoul`?"),
        ("nowhere at all", "write one like `Europe/Berlin`, or `UTC`"),
    ] {
        let config = load(&[], &[("TZ", wrong)], "");
        let said = format!("TZ: `{wrong}` is no time zone; {right}; times in the log are UTC");
        assert!(config.warnings.contains(&said), "{:?}", config.warnings);
        assert_eq!(config.log.zone, jiff::tz::TimeZone::UTC);
    }
}

#[test]
fn an_extension_looks_for_orbit_on_its_own_host_unless_it_is_told_otherwise() {
    let route = "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0";
    let load = |environment: &[(&str, &str)]| {
        let mut input = input(&[], environment, None);
        input.routes.ipv4 = route.to_owned();
        input.routes.in_container = true;
        Config::load(&input).unwrap()
    };
    let of = |config: &Config, name: &str| {
        let shown = config.shown.iter().find(|shown| shown.name == name);
        shown.map(|shown| format!("{} from {}", shown.value, shown.origin))
    };
    let extension = load(&[("PACKAGE_DIR", "/package")]);
    let said = of(&extension, "hostname").unwrap();
    assert_eq!(said, "gateway (172.17.0.1) from default of the extension");
    let said = of(&extension, "webhook-host").unwrap();
    assert_eq!(
        said,
        "127.0.0.1,gateway (172.17.0.1) from default of the extension"
    );
    let told = load(&[("PACKAGE_DIR", "/package"), ("ORBIT_HOSTNAME", "orbit")]);
    assert_eq!(of(&told, "hostname").unwrap(), "orbit from ORBIT_HOSTNAME");
    let elsewhere = load(&[]);
    assert_eq!(of(&elsewhere, "hostname"), None);
    assert_eq!(
        of(&elsewhere, "webhook-host").unwrap(),
        "0.0.0.0 from default"
    );
}

#[test]
fn each_official_placeholder_is_named() {
    let why = load(
        &[],
        &[],
        "API_TOKEN=YOUR_API_TOKEN\nSECRET='YOUR_SECRET'\nBACKEND_URL=YOUR_BACKEND_URL\n",
    )
    .not_configured
    .unwrap();
    for name in ["API_TOKEN", "SECRET", "BACKEND_URL"] {
        assert!(why.contains(&format!("{name} in .env")), "{why}");
        assert!(why.contains(&format!("YOUR_{name}")), "{why}");
    }
}

#[test]
fn a_port_that_orbit_blocks_and_an_address_it_cannot_call_are_warned_of() {
    let environment = [("ORBIT_HOSTNAME", "orbit"), ("API_TOKEN", "t")];
    let warnings = |flags: &[_]| load(flags, &environment, "").warnings.join("\n");
    assert!(warnings(&[]).contains("0.0.0.0"));
    let host = ("webhook-host", "127.0.0.1");
    assert_eq!(warnings(&[host]), "");
    for port in ["8080", "21443", "21001"] {
        assert!(warnings(&[host, ("webhook-port", port)]).contains(port));
    }
}

#[test]
fn plain_http_is_warned_of_once_unless_it_stays_on_this_machine() {
    let warnings = |host| load(&[("webhook-host", host)], &[], "").warnings;
    for host in ["localhost", "127.0.0.1", "127.9.9.9", "::1", "[::1]"] {
        assert_eq!(warnings(host), [""; 0], "{host}");
    }
    for host in ["10.0.0.5", "relay.plant", "fd00::5", "localhost.plant"] {
        let warnings = warnings(host);
        assert_eq!(warnings.len(), 1, "{host}");
        let url = load(&[("webhook-host", host)], &[], "")
            .webhook
            .urls
            .remove(0);
        let url = url.as_str().trim_end_matches('/');
        assert_eq!(
            warnings[0],
            format!(
                "inspections come to {url} unencrypted: who is in between can read them; \
                 --tls-cert FILE.pem makes it HTTPS"
            )
        );
    }
    for host in ["0.0.0.0", "::"] {
        let warnings = warnings(host);
        assert!(warnings.len() == 1 && warnings[0].contains("can probably not call"));
    }
}

#[test]
fn a_variable_of_dotenv_that_is_no_setting_is_warned_of() {
    let config = load(
        &[("webhook-host", "localhost")],
        &[],
        "FORWARD_TESTS=true\nSECRET_FILE=\n",
    );
    assert_eq!(
        config.warnings,
        [".env, line 1: FORWARD_TESTS is no setting of orbit-relay"]
    );
}

#[test]
fn two_kinds_of_credentials_are_refused() {
    let both = [
        ("INTEGRATION_URL", "http://a:b@x/"),
        ("INTEGRATION_AUTH", "Bearer x"),
    ];
    assert!(error(&both).contains("give one"));
}

#[test]
fn env_example_lists_every_variable() {
    let example = include_str!("../../.env.example");
    for variable in settings::SETTINGS.iter().flat_map(|setting| {
        let file = setting.kind == settings::Kind::Secret;
        let files = setting
            .variables
            .iter()
            .map(|v| format!("{v}_FILE"))
            .filter(move |_| file);
        setting
            .variables
            .iter()
            .map(|v| (*v).to_owned())
            .chain(files)
    }) {
        let listed = example
            .lines()
            .filter_map(|line| line.trim_start_matches(['#', ' ']).split_once('='))
            .any(|(name, _)| name == variable);
        assert!(listed, ".env.example does not list {variable}");
    }
    assert_eq!(
        dotenv::parse(example.as_bytes()).unwrap(),
        [],
        "every line is a comment"
    );
    for name in example
        .lines()
        .filter_map(|line| line.trim_start_matches("# ").split_once('='))
    {
        let variable = name.0.strip_suffix("_FILE").unwrap_or(name.0);
        let known = settings::SETTINGS
            .iter()
            .any(|s| s.variables.contains(&variable));
        assert!(
            known || variable.contains(' '),
            ".env.example lists unknown {variable}"
        );
    }
}

/// The routing table of a container, whose gateway is 172.17.0.1.
const IN_A_CONTAINER: &str = "eth0\t00000000\t010011AC\t0003\t0\t0\t0\t00000000\t0\t0\t0\n";

fn in_a_container(environment: &[(&str, &str)]) -> Input {
    let routes = gateway::Routes {
        ipv4: IN_A_CONTAINER.to_owned(),
        in_container: true,
        ..gateway::Routes::default()
    };
    Input {
        routes,
        ..input(&[], environment, None)
    }
}

fn shown_of(config: &Config, name: &str) -> (String, String) {
    let shown = config.shown.iter().find(|shown| shown.name == name);
    let shown = shown.unwrap();
    (shown.value.clone(), shown.origin.clone())
}

#[test]
fn gateway_is_the_machine_of_the_container_and_shown_with_its_address() {
    for (hostname, host, shown) in [
        ("gateway", "172.17.0.1", "gateway (172.17.0.1)"),
        (
            "Gateway:8443",
            "172.17.0.1:8443",
            "Gateway:8443 (172.17.0.1)",
        ),
    ] {
        let config = Config::load(&in_a_container(&[
            ("ORBIT_HOSTNAME", hostname),
            ("WEBHOOK_HOST", "127.0.0.1, gateway,10.0.0.5"),
        ]));
        let config = config.unwrap();
        assert_eq!(config.orbit_host.as_ref().unwrap().host, host);
        assert_eq!(shown_of(&config, "hostname").0, shown);
        let hosts = "127.0.0.1,gateway (172.17.0.1),10.0.0.5";
        assert_eq!(shown_of(&config, "webhook-host").0, hosts);
        let urls = config.webhook.urls.iter().map(ToString::to_string);
        assert_eq!(
            urls.collect::<Vec<_>>(),
            ["127.0.0.1", "172.17.0.1", "10.0.0.5"].map(|host| format!("http://{host}:21600/"))
        );
        // To the gateway nothing leaves this machine.
        let unencrypted = config.warnings.iter().filter(|w| w.contains("unencrypted"));
        let unencrypted: Vec<_> = unencrypted.collect();
        assert_eq!(unencrypted.len(), 1, "{unencrypted:?}");
        assert!(unencrypted[0].contains("http://10.0.0.5:21600"));
    }
}

#[test]
fn without_a_default_route_or_outside_a_container_gateway_is_a_problem_that_says_why() {
    let error = |environment: &[_], ipv4: &str, in_container| {
        let mut input = in_a_container(environment);
        ipv4.clone_into(&mut input.routes.ipv4);
        input.routes.in_container = in_container;
        Config::load(&input).unwrap_err().to_string()
    };
    for (ipv4, in_container, why) in [
        ("", true, "/proc/net/route has no default route"),
        (IN_A_CONTAINER, false, "this is no container"),
    ] {
        for (variable, value) in [
            ("ORBIT_HOSTNAME", "gateway"),
            ("WEBHOOK_HOST", "gateway"),
            ("WEBHOOK_HOST", "127.0.0.1,gateway"),
        ] {
            let error = error(&[(variable, value)], ipv4, in_container);
            assert!(error.starts_with(variable), "{error}");
            assert!(error.contains(why), "{error}");
        }
        let extension = [("PACKAGE_DIR", "/package")];
        assert!(error(&extension, ipv4, in_container).contains(why));
    }
}

#[test]
fn any_certificate_of_orbit_is_accepted_at_an_extensions_gateway_unless_somebody_sets_verify() {
    let trust = |environment: &[_]| {
        let config = Config::load(&in_a_container(environment)).unwrap();
        let shown = shown_of(&config, "verify");
        (config.orbit_host.unwrap().trust, shown)
    };
    let package = ("PACKAGE_DIR", "/package");
    let (at_gateway, shown) = trust(&[package, ("ORBIT_HOSTNAME", "gateway")]);
    assert!(matches!(at_gateway, Trust::Anything));
    assert_eq!(shown, ("false".into(), "default with gateway".into()));
    let (by_default, _) = trust(&[package]);
    assert!(matches!(by_default, Trust::Anything));
    let (set, shown) = trust(&[package, ("ORBIT_VERIFY", "true")]);
    assert!(matches!(set, Trust::Authorities(_)));
    assert_eq!(shown, ("true".into(), "ORBIT_VERIFY".into()));
    let (elsewhere, _) = trust(&[package, ("ORBIT_HOSTNAME", "172.17.0.1")]);
    assert!(matches!(elsewhere, Trust::Authorities(_)));
    // Nothing says that the gateway of any other container is its own machine.
    let (no_extension, shown) = trust(&[("ORBIT_HOSTNAME", "gateway")]);
    assert!(matches!(no_extension, Trust::Authorities(_)));
    assert_eq!(shown, ("true".into(), "default".into()));
}

#[test]
fn orbit_is_on_this_machine_where_it_is_the_gateway_or_loopback() {
    let machine = |host| {
        let config = Config::load(&in_a_container(&[("ORBIT_HOSTNAME", host)]));
        config.unwrap().webhook.machine
    };
    let gateway = Some("172.17.0.1".parse().unwrap());
    assert_eq!(
        machine("gateway:8443"),
        reconcile::webhook::Machine::Ours { gateway }
    );
    for host in ["127.0.0.1:8443", "localhost", "[::1]:443"] {
        assert_eq!(
            machine(host),
            reconcile::webhook::Machine::Ours { gateway: None },
            "{host}"
        );
    }
    for host in ["orbit.plant", "10.0.0.9", "gateway.plant", "gateways"] {
        assert_eq!(
            machine(host),
            reconcile::webhook::Machine::Another,
            "{host}"
        );
    }
}
