//! What the file promises: every problem named by its line, no secret in any of them, and an
//! example that is complete.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::config::{Config, ConfigError, Level, Text};
use crate::relay::deliver::{OncePer, OrderBy};
use crate::relay::destination::{Algorithm, Auth, Encoding, Sign};

const EXAMPLE: &str = include_str!("../../../examples/relay.toml");
const DESTINATION: &str = "[[destination]]\nname = \"cmms\"\nurl = \"http://cmms.example/\"\n";

/// `whsec_` and base64 of 24 bytes.
const SIGNING: &str = "whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5";

fn toml(path: &str, bytes: impl AsRef<[u8]>) -> Text {
    Text {
        level: Level::ConfigDir,
        path: path.into(),
        bytes: bytes.as_ref().to_vec(),
    }
}

fn load_in(text: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
    let environment: BTreeMap<_, _> = environment
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect();
    Config::load(&Input {
        environment,
        file: Some(toml("relay.toml", text)),
        ..Input::default()
    })
}

fn load(text: &str) -> Config {
    load_in(text, &[]).unwrap()
}

/// All problems of a file, one a line.
fn problems(text: &str) -> String {
    match load_in(text, &[("SET", "canary"), ("EMPTY", "")]) {
        Err(ConfigError::Wrong(problems)) => problems.to_string(),
        other => panic!("{text}\nis not refused: {other:?}"),
    }
}

/// All problems of one destination with these keys besides its name and URL.
fn of_destination(keys: &str) -> String {
    problems(&format!("{DESTINATION}{keys}\n"))
}

#[test]
fn every_setting_can_stand_in_the_file() {
    let config = load(
        "hostname = \"orbit.example\"\nverify = false\nwebhook_port = 21601\n\
         payload_types = [\"ACTION_COMPLETED\"]\nforward_test = true\nmax_age = \"7m\"\n\
         data_dir = \"/data\"\nlog_level = \"debug\"\nkeep_delivered = \"7d\"\n\
         journal_limit = \"500MB\"\nexpect_every = \"24h\"\napi_token = \"t\"\n\
         asset_map = \"\"\nintegration_url = \"http://plant.example/\"\nnotify = [\"integration\"]\n",
    );
    assert_eq!(config.orbit.unwrap().host, "orbit.example");
    assert_eq!(config.listen.port(), 21601);
    assert_eq!(config.webhook.events, ["ACTION_COMPLETED"]);
    assert_eq!(config.destinations[0].events, ["ACTION_COMPLETED", "TEST"]);
    assert_eq!(config.max_age, Duration::from_mins(7));
    assert_eq!(config.data_dir.display().to_string(), "/data");
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    assert_eq!(config.keep_delivered, Duration::from_hours(7 * 24));
    assert_eq!(config.journal_limit, 500_000_000);
    assert_eq!(config.expect_every, Some(Duration::from_hours(24)));
    assert_eq!(config.asset_map, None);
    assert!(config.destinations[0].hears_notices);
    let shown = config.shown.iter().find(|shown| shown.name == "max-age");
    assert_eq!(shown.unwrap().origin, "relay.toml:6");
}

#[test]
fn tables_may_be_written_in_every_way_that_toml_knows() {
    let inline = "auth = { type = \"basic\", user = \"me\", password = \"x\" }\n";
    let dotted = "auth.type = \"basic\"\nauth.user = \"me\"\nauth.password = \"x\"\n";
    let below = "[destination.auth]\ntype = \"basic\"\nuser = \"me\"\npassword = \"x\"\n";
    for (auth, line) in [(inline, 4), (dotted, 5), (below, 6)] {
        let config = load(&format!("{DESTINATION}{auth}"));
        let auth = &config.destinations[0].destination.auth;
        assert!(matches!(auth, Auth::Basic { user, .. } if user == "me"));
        let keys = &config.shown_destinations[0].keys;
        let user = keys.iter().find(|key| key.name == "auth.user").unwrap();
        assert_eq!(user.origin, format!("relay.toml:{line}"));
    }
}

proptest! {
    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..100),
        text in "(\\[\\[destination\\]\\]\n)?([a-z_]{1,8} = (\\{\\}|\"x\"|1|\\[1\\])\n){0,5}",
    ) {
        for file in [bytes, text.into_bytes()] {
            let input = Input { file: Some(toml("f", file)), ..Input::default() };
            prop_assert!(Config::load(&input).map(|config| config.shown.len()).ok() != Some(0));
        }
    }
}

#[test]
fn a_destination_that_says_little_has_the_defaults() {
    let config = load(DESTINATION).destinations.remove(0);
    assert_eq!(config.destination.id, "cmms");
    assert_eq!(config.events, destination::EVENTS);
    assert_eq!(config.once_per, OncePer::Event);
    assert_eq!(config.retry, crate::retry::Plan::default());
    assert!(matches!(config.destination.auth, Auth::None));
    assert!(config.destination.proxy.is_none());
}

#[test]
fn every_key_of_a_destination_is_taken() {
    let config = load_in(
        "[[destination]]\nname = \"new-name\"\nid = \"old_name\"\n\
         url = \"https://me:pass@cmms.example/x\"\nevents = [\"TEST\", \"TEST\"]\n\
         when = \"inspection.severity >= 3\"\nonce_per = \"inspection\"\norder_by = \"asset\"\n\
         headers = { X-Plant = \"north\", X-Key = { env = \"SET\" } }\ntimeout = \"45s\"\n\
         max_in_flight = 2\nrate_limit = \"100/m\"\n\
         retry = { schedule = [\"0s\", \"1m\"], then_every = \"1h\", give_up_after = \"never\", jitter = 0 }\n\
         success = { status = [200, 409], when = \"response.json.ok\" }\n\
         sign = { scheme = \"hmac\", header = \"X-Servo-Signature\", algorithm = \"sha1\", encoding = \"base64\", prefix = \"sha1=\", secret = \"s\" }\n\
         proxy = \"http://proxy.example:3128\"\nallow_addresses = [\"169.254.10.20\", \"fe80::1\"]\n",
        &[("SET", "canary")],
    );
    let config = config.unwrap().destinations.remove(0);
    let to = &config.destination;
    assert_eq!((&*to.name, &*to.id), ("new-name", "old_name"));
    assert_eq!(to.url.as_str(), "https://cmms.example/x");
    assert!(matches!(&to.auth, Auth::Basic { user, .. } if user == "me"));
    assert_eq!(config.events, ["TEST"]);
    assert_eq!(config.when.unwrap().text(), "inspection.severity >= 3");
    assert_eq!(config.once_per, OncePer::Inspection);
    assert_eq!(config.order_by, OrderBy::Asset);
    assert_eq!(to.headers.len(), 2);
    assert!(!format!("{to:?}").contains("canary"), "{to:?}");
    assert_eq!(to.timeout, Duration::from_secs(45));
    assert_eq!(config.max_in_flight, 2);
    let rate = config.rate_limit.unwrap();
    assert_eq!((rate.count, rate.per), (100, Duration::from_mins(1)));
    assert_eq!(config.retry.schedule.len(), 2);
    assert_eq!(config.retry.give_up_after, None);
    assert_eq!(to.success.status, Some(vec![200, 409]));
    assert_eq!(
        to.proxy.as_ref().unwrap().url.as_str(),
        "http://proxy.example:3128/"
    );
    assert_eq!(to.allow_addresses.len(), 2);
    let Some(Sign::Hmac {
        algorithm,
        encoding,
        prefix,
        ..
    }) = &to.sign
    else {
        panic!("{to:?}");
    };
    assert_eq!(
        (*algorithm, *encoding, prefix.as_str()),
        (Algorithm::Sha1, Encoding::Base64, "sha1=")
    );
}

#[test]
fn the_integration_url_comes_in_addition_and_its_name_is_taken_then() {
    let both = format!("integration_url = \"http://plant.example/\"\n{DESTINATION}");
    let names: Vec<_> = load(&both)
        .destinations
        .into_iter()
        .map(|config| config.destination.name)
        .collect();
    assert_eq!(names, ["integration", "cmms"]);
    let alone = DESTINATION.replace("cmms\"", "integration\"");
    assert_eq!(load(&alone).destinations.len(), 1);
    let twice = format!("integration_url = \"http://plant.example/\"\n{alone}");
    insta::assert_snapshot!(problems(&twice), @"relay.toml:3: the name `integration` is taken (relay.toml:1); give each destination its own");
}

#[test]
fn what_is_not_subscribed_is_a_warning_that_names_both() {
    let config = load(&format!(
        "webhook_host = \"localhost\"\n{DESTINATION}events = [\"ACTION_COMPLETE\", \"TEST\", \"OTHER\"]\n"
    ));
    insta::assert_snapshot!(config.warnings.join("\n"));
}

#[test]
fn the_environments_proxy_is_taken_where_the_file_gives_none() {
    let environment = [("https_proxy", "http://proxy.example:1")];
    let proxied = |keys: &str| {
        let text = DESTINATION.replace("http:", "https:") + keys;
        let config = load_in(&text, &environment).unwrap();
        let proxy = config.destinations[0].destination.proxy.clone();
        proxy.map(|proxy| proxy.url.to_string())
    };
    assert_eq!(proxied("").unwrap(), "http://proxy.example:1/");
    assert_eq!(
        proxied("proxy = \"http://other.example\"").unwrap(),
        "http://other.example/"
    );
    assert_eq!(proxied("proxy = \"none\""), None);
}

#[test]
fn a_variable_of_dotenv_that_the_file_names_is_found_and_not_warned_of() {
    let config = Config::load(&Input {
        dotenvs: vec![Text {
            level: Level::WorkingDir,
            ..toml(
                ".env",
                "CMMS_TOKEN=canary\nOTHER=1\nWEBHOOK_HOST=localhost\n",
            )
        }],
        file: Some(toml(
            "relay.toml",
            format!(
                "{DESTINATION}auth = {{ type = \"bearer\", token = {{ env = \"CMMS_TOKEN\" }} }}"
            )
            .into_bytes(),
        )),
        ..Input::default()
    })
    .unwrap();
    assert_eq!(
        config.warnings,
        [".env, line 2: OTHER is no setting of orbit-relay"]
    );
}

#[test]
fn a_command_that_needs_only_the_data_directory_judges_only_whether_it_may_be_misspelt() {
    let dir = |text: &str| {
        Config::data_dir(&Input {
            file: Some(toml("relay.toml", text)),
            ..Input::default()
        })
    };
    let text = "data_dir = \"/d\"\nmax_age = 5\napi_token = { file = \"/nowhere\" }\n";
    assert_eq!(dir(text).unwrap().display().to_string(), "/d");
    let error = dir("data_dir = 5\n").unwrap_err().to_string();
    assert!(error.starts_with("relay.toml:1: `data_dir`"), "{error}");
    assert!(dir("data_dir = \n").is_err());
    let error = dir("dataa_dir = \"/d\"\n").unwrap_err().to_string();
    assert!(error.contains("did you mean `data_dir`"), "{error}");
}

#[test]
fn a_secret_that_is_overridden_is_not_looked_for() {
    let text = "api_token = { env = \"MISSING\" }\n";
    assert!(load_in(text, &[]).is_err());
    assert!(load_in(text, &[("ORBIT_API_TOKEN", "t")]).is_ok());
}

#[test]
fn all_problems_of_a_file_are_said_at_once_in_the_order_of_its_lines() {
    insta::assert_snapshot!(problems(
        "hostnme = \"x\"\nmax_age = \"soon\"\nwebhook_port = \"x\"\nlog_level = \"inof\"\n\
         enabled = \"true\"\nnotify = [\"teems\", 5]\n\n[[destination]]\nname = \"teams\"\n\
         url = \"ftp://x\"\nretrry = {}\nonce_per = \"inspect\"\nauth = { type = \"barer\" }\n\
         timeout = 30\nnotify = []\n\n[[destination]]\nname = \"teams\"\n"
    ));
}

#[test]
fn what_is_wrong_at_the_top_level_is_named() {
    let wrong: Vec<_> = [
        "config = \"other.toml\"",
        "webhook-host = \"me\"",
        "webhook_port = 70000",
        "webhook_port = -1",
        "enabled = 1",
        "verify = 1",
        "verify = \"/nowhere.pem\"",
        "payload_types = []",
        "payload_types = [\"A B\"]",
        "payload_types = [1]",
        "journal_limit = \"1MB\"",
        "journal_limit = 5000000000",
        "keep_delivered = \"0s\"",
        "keep_delivered = 1979-05-27",
        "log_format = \"xml\"",
        "api_token = 5",
        "api_token = { env = \"MISSING\" }",
        "api_token = { env = \"EMPTY\" }",
        "api_token = { file = \"/nowhere/token\" }",
        "api_token = {}",
        "api_token = { evn = \"SET\" }",
        "webhook_secret = \"canary\"",
        "webhook_secret = { env = \"SET\" }",
        "integration_auth = \"canary\"",
        "integration_url = \"http://169.254.169.254/\"",
        "integration_url = \"http://me:canary@\"",
        "notify = \"teams\"",
        "notify = [\"teams\"]",
        "expect_every = \"daily\"",
        "[destination]\nname = \"x\"",
        "destination = 5",
        "destinations = []",
    ]
    .into_iter()
    .map(problems)
    .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_a_destination_is_named() {
    let wrong: Vec<_> = [
        "urll = 1",
        "id = \"With Spaces\"",
        "id = \"\"",
        "events = []",
        "events = \"ACTION_COMPLETED\"",
        "events = [\"action completed\"]",
        "when = \"inspection.severity >=\"",
        "when = \"inspction.severity >= 3 and x\"",
        "when = \"event.type is strange\"",
        "when = \"event.type | strange\"",
        "when = true",
        "order_by = \"assets\"",
        "headers = \"X-Key: canary\"",
        "headers = { \"Bad Name\" = \"x\" }",
        "headers = { Idempotency-Key = \"x\" }",
        "headers = { X-Key = \"can\\nary\" }",
        "headers = { Authorization = \"canary\" }\nauth = { type = \"bearer\", token = \"canary\" }",
        "timeout = \"1h\"",
        "max_in_flight = 0",
        "max_in_flight = \"4\"",
        "rate_limit = \"10/d\"",
        "retry = \"never\"",
        "retry = { schedule = [\"0s\", \"x\", 5], then_every = \"0s\", give_up_after = \"nevr\", jitter = 2 }",
        "success = { status = [200, 301, 99, \"x\"], whn = \"\" }",
        "success = { when = \"inspection.severity\" }",
        "proxy = \"socks5://me:canary@proxy\"",
        "allow_addresses = [\"x\"]",
        "tls = { ca_file = \"/nowhere.pem\" }",
        "tls = { client_key_file = \"/nowhere.key\" }",
        "tls = { client_cert_file = \"/nowhere.pem\", client_key_file = \"/nowhere.key\" }",
        "name = \"twice\"",
    ]
    .into_iter()
    .map(of_destination)
    .chain(
        [
            "",
            "name = \"x\"\nurl = \"http://169.254.10.20/\"",
            "name = \"x\"\nurl = \"http://[::ffff:100.100.100.200]/\"",
            "name = \"x\"\nurl = \"http://me:canary@x/\"\nauth = { type = \"none\" }",
            "name = 5\nurl = 5",
            "name = \"x\"\nid = \"cmms\"\nurl = \"http://x/\"\n[[destination]]\nname = \"cmms\"\nurl = \"http://x/\"",
        ]
        .map(|keys| problems(&format!("[[destination]]\n{keys}\n"))),
    )
    .collect();
    insta::assert_snapshot!(wrong.join("\n"));
}

#[test]
fn what_is_wrong_with_credentials_is_named_without_them() {
    let wrong: Vec<_> = [
        "auth = \"Bearer canary\"",
        "auth = {}",
        "auth = { type = \"Bearer canary\" }",
        "auth = { type = \"bearer\" }",
        "auth = { type = \"bearer\", tokn = \"canary\" }",
        "auth = { type = \"bearer\", token = 12345 }",
        "auth = { type = \"bearer\", token = \"\" }",
        "auth = { type = \"bearer\", token = \"can\\u0007ary\" }",
        "auth = { type = \"bearer\", token = { env = \"MISSING\" } }",
        "auth = { type = \"bearer\", token = { env = \"canary-itself\" } }",
        "auth = { type = \"bearer\", token = { env = \"SET\", file = \"/x\" } }",
        "auth = { type = \"bearer\", token = { file = \"/nowhere/token\" } }",
        "auth = { type = \"bearer\", user = \"x\", token = \"canary\" }",
        "auth = { type = \"basic\", user = \"a:b\", password = \"canary\" }",
        "auth = { type = \"basic\" }",
        "auth = { type = \"header\", name = \"Bad Name\", value = \"canary\" }",
        "auth = { type = \"oauth2\", token_url = \"https://me:canary@x/\", client_id = \"\", client_secret = \"canary\" }",
        "auth = { type = \"oauth2\", token_url = \"http://169.254.169.254/\", client_id = \"x\", client_secret = \"canary\" }",
        "sign = { scheme = \"standard-webhook\", secret = \"canary\" }",
        "sign = { scheme = \"standard-webhooks\", secret = \"canary\" }",
        "sign = { scheme = \"standard-webhooks\", secret = \"whsec_Y2FuYXJ5\" }",
        "sign = { scheme = \"standard-webhooks\" }",
        "sign = { scheme = \"standard-webhooks\", secrets = [\"canary\", { env = \"SET\" }, { env = \"MISSING\" }] }",
        "sign = { scheme = \"hmac\", header = \"Webhook-Id\", algorithm = \"md5\", encoding = \"hx\", secret = \"canary\" }",
        "sign = { scheme = \"hmac\", secret = { env = \"EMPTY\" } }",
    ]
    .into_iter()
    .map(of_destination)
    .collect();
    let wrong = wrong.join("\n");
    assert!(
        !wrong.contains("canary") && !wrong.contains("Y2Fu"),
        "{wrong}"
    );
    insta::assert_snapshot!(wrong);
}

#[test]
fn what_is_no_toml_is_named_by_line_and_key_and_not_repeated() {
    let wrong: Vec<_> = [
        "api_token = \"canary\nmax_age = \"5m\"\n",
        "max_age = \"5m\"\napi_token = canary\n",
        "max_age = 5m\n",
        "[[destination]\n",
        "canary\n",
        "max_age = \"5m\"\nmax_age = \"canary\"\nhostnme = \"x\"\n",
        "a = '''\ncanary=\n",
        "auth = { type = \"bearer\", token = \"canary\n",
    ]
    .into_iter()
    .map(problems)
    .collect();
    let wrong = wrong.join("\n");
    assert!(!wrong.contains("canary"), "{wrong}");
    insta::assert_snapshot!(wrong);
    let not_utf8 = Config::load(&Input {
        file: Some(toml("relay.toml", b"a = 1\nb = \"\xff\"\n")),
        ..Input::default()
    });
    let error = not_utf8.unwrap_err().to_string();
    assert_eq!(error, "relay.toml:2: not UTF-8; save the file as UTF-8");
}

/// A file with a canary in every place where a secret can stand.
const CANARIES: &str = r#"
api_token = "canary-1"
webhook_secret = { env = "CANARY_HEX" }
integration_url = "https://me:canary@plant.example/x?key=canary"

[[destination]]
name = "a"
url = "https://me:canary@a.example/x?key=canary"
headers = { X-Key = "canary", X-Env = { env = "CANARY" } }
sign = { scheme = "standard-webhooks", secrets = ["whsec_Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5Y2FuYXJ5"] }
proxy = "http://me:canary@proxy.example:1"

[[destination]]
name = "b"
url = { env = "CANARY_URL" }
auth = { type = "oauth2", token_url = "https://b.example/t?key=canary", client_id = "b", client_secret = "canary" }
sign = { scheme = "hmac", header = "X-Sign", secret = "canary" }

[[destination]]
name = "c"
url = "http://c.example/"
auth = { type = "header", name = "X-Key", value = { env = "CANARY" } }
"#;

#[test]
fn no_secret_of_the_file_is_shown_or_printed() {
    let hex = "ca".repeat(32);
    let environment = [
        ("CANARY", "canary"),
        ("CANARY_HEX", hex.as_str()),
        ("CANARY_URL", "https://b.example/canary"),
        ("HTTP_PROXY", "http://me:canary@proxy.example"),
    ];
    let config = load_in(CANARIES, &environment).unwrap();
    let shown = format!("{:?} {:?}", config.shown, config.shown_destinations);
    let printed = format!("{shown} {:?} {:?}", config.warnings, config.orbit);
    for secret in ["canary", "Y2Fu", &hex] {
        assert!(!printed.contains(secret), "{printed}");
    }
    // And once more where something else is wrong.
    let text = format!("{CANARIES}\ntimeout = \"x\"\n");
    let error = load_in(&text, &environment).unwrap_err().to_string();
    assert!(!error.contains("canary"), "{error}");
}

#[test]
fn each_key_of_a_destination_is_shown_with_its_effective_value_and_origin() {
    let config = load_in(
        &format!(
            "{DESTINATION}auth = {{ type = \"bearer\", token = {{ env = \"CMMS_TOKEN\" }} }}\n\
             retry = {{ give_up_after = \"never\" }}\n"
        ),
        &[
            ("CMMS_TOKEN", "canary"),
            ("http_proxy", "http://me:canary@proxy.example:3128"),
            ("NO_PROXY", "local.example"),
        ],
    );
    let shown = config.unwrap().shown_destinations.remove(0);
    let lines: Vec<_> = shown
        .keys
        .iter()
        .map(|key| format!("{} = {} (from {})", key.name, key.value, key.origin))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

#[test]
fn on_closed_is_read_and_what_is_wrong_with_it_is_said() {
    let good = format!(
        "on_closed = {{ poll = \"https://cmms.example/o/{{{{ answer.id }}}}?key=canary\", \
         when = \"response.json.status == 'CLOSED'\", every = \"1m\", secret = \"{SIGNING}\" }}\n"
    );
    let config = load(&format!("{DESTINATION}{good}"));
    let on_closed = config.destinations[0].on_closed.as_ref().unwrap();
    assert_eq!(
        on_closed.poll.as_ref().unwrap().every,
        Duration::from_mins(1)
    );
    assert!(on_closed.secret.is_some());
    let keys = &config.shown_destinations[0].keys;
    let shown = format!("{keys:?} {:?}", config.destinations);
    assert!(
        !shown.contains("canary") && !shown.contains(SIGNING),
        "{shown}"
    );
    let when = "when = \"response.status == 200\"";
    let wrong = [
        "{}".to_owned(),
        "{ poll = \"https://x/{{ answer.id }}\" }".to_owned(),
        format!("{{ {when} }}"),
        format!("{{ every = \"1m\", secret = \"{SIGNING}\" }}"),
        "{ secret = \"canary\" }".to_owned(),
        format!("{{ poll = \"https://{{{{ answer.host }}}}/x\", {when} }}"),
        format!("{{ poll = \"https://169.254.169.254/{{{{ answer.id }}}}\", {when} }}"),
        format!("{{ poll = \"https://x/{{{{ answer.id }}}}\", {when}, every = \"1s\" }}"),
        "{ poll = \"https://x/{{ answer.id }}\", when = \"body.status\" }".to_owned(),
    ];
    let said = wrong.map(|keys| of_destination(&format!("on_closed = {keys}")));
    assert!(said.iter().all(|said| !said.contains("canary")));
    insta::assert_snapshot!(said.join("\n"));
}

/// The variables that the example names.
fn variables_of_the_example() -> Vec<(String, String)> {
    let names = EXAMPLE.split("env = \"").skip(1);
    let names = names.filter_map(|rest| rest.split_once('"'));
    names
        .filter(|(name, _)| *name != "NAME")
        .map(|(name, _)| {
            let value = match name {
                "TEAMS_URL" => "https://teams.example/hook",
                "INTEGRATION_LOGIN" => "Bearer x",
                name if name.contains("SIGNING") || name.contains("CLOSED") => SIGNING,
                _ => "x",
            };
            (name.to_owned(), value.to_owned())
        })
        .collect()
}

fn load_example(text: &str) -> Config {
    let variables = variables_of_the_example();
    let variables: Vec<_> = variables.iter().map(|(a, b)| (&**a, &**b)).collect();
    load_in(text, &variables).unwrap_or_else(|error| panic!("{error}"))
}

#[test]
fn the_example_is_loaded() {
    let config = load_example(EXAMPLE);
    let [plain, severity] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings);
    };
    assert!(plain.contains("--tls-cert"), "{plain}");
    assert!(severity.contains("inspection.severity"), "{severity}");
    assert_eq!(config.destinations.len(), 5);
    let hears = |name: &str| {
        config
            .destinations
            .iter()
            .any(|d| d.hears_notices && d.destination.name == name)
    };
    assert!(hears("teams") && !hears("cmms"));
    // What it calls a default is the default.
    let cmms = &config.destinations[0];
    assert_eq!(cmms.retry, crate::retry::Plan::default());
    assert_eq!(cmms.max_in_flight, crate::relay::deliver::IN_FLIGHT);
    assert_eq!(cmms.destination.timeout, crate::relay::destination::TIMEOUT);
}

#[test]
fn the_defaults_that_the_example_shows_are_the_defaults() {
    for setting in SETTINGS {
        let (Some(key), Some(default)) = (key(setting), setting.default) else {
            continue;
        };
        if key == "webhook_host" {
            continue;
        }
        let line = EXAMPLE
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#{key} = ")))
            .unwrap_or_else(|| panic!("no `#{key} = …`"));
        let plain = line.replace(['"', '[', ']'], "").replace(", ", ",");
        assert_eq!(plain, default, "{key}");
    }
}

#[test]
fn the_example_names_every_key() {
    let stands = |key: &str| {
        EXAMPLE.lines().any(|line| {
            let line = line.strip_prefix('#').unwrap_or(line);
            line.starts_with(&format!("{key} = "))
                || line == format!("[[{key}]]")
                || line.contains(&format!("{{ {key} = "))
                || line.contains(&format!(", {key} = "))
        })
    };
    for (table, keys) in all_keys() {
        for key in keys {
            assert!(stands(&key), "`{key}` of `{table}` is not in the example");
        }
    }
}

#[test]
fn the_assets_of_the_example_can_be_read() {
    let assets = include_bytes!("../../../examples/assets.csv");
    assert_eq!(
        crate::relay::assets::AssetMap::parse(assets).unwrap().len(),
        5
    );
}
