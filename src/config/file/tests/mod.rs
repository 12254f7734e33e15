//! What the file promises.
//!
//! ```text
//! mod      what it means, and that no secret is shown
//! wrong    every problem is named by its line
//! mqtt     a destination that is a broker
//! source   who sends besides Orbit
//! subscription what destinations take of whom, gates, answers as events
//! template templates and steps are looked at before anything comes
//! example  the example is complete and says the truth
//! ```

mod example;
mod mqtt;
mod source;
mod subscription;
mod template;
mod wrong;

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use crate::event::{ORBIT, Takes};

use super::*;
use crate::config::{Config, ConfigError, Level, Text};
use crate::relay::deliver::{OncePer, OrderBy};
use crate::relay::destination::{Algorithm, Auth, Encoding, Sign};

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
    assert_eq!(
        config.destinations[0].takes[0],
        Takes::new(ORBIT, ["ACTION_COMPLETED", "TEST"])
    );
    assert_eq!(config.max_age, Duration::from_mins(7));
    assert_eq!(config.data_dir.display().to_string(), "/data");
    assert_eq!(config.log.level, tracing::Level::DEBUG);
    assert_eq!(config.keep_delivered, Duration::from_hours(7 * 24));
    assert_eq!(config.journal_limit, 500_000_000);
    assert_eq!(config.expect_every, Some(Duration::from_hours(24)));
    assert_eq!(config.asset_map, None);
    assert!(config.destinations[0].hears_notices());
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
    assert_eq!(config.takes, [Takes::new(ORBIT, destination::EVENTS)]);
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
    assert_eq!(config.takes, [Takes::new(ORBIT, ["TEST"])]);
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
fn the_url_is_signed_as_fiix_wants_it() {
    let sign = "sign = { scheme = \"fiix\", app_key = \"app\", access_key = \"access\", secret = \"canary\" }";
    let config = load(&format!("{DESTINATION}{sign}\n"));
    let Some(Sign::Fiix {
        app_key,
        access_key,
        secret,
    }) = &config.destinations[0].destination.sign
    else {
        panic!("{config:?}");
    };
    assert_eq!((&**app_key, &**access_key), ("app", "access"));
    assert_eq!(secret.current().unwrap().expose(), "canary");
    let problems = problems(&format!("{DESTINATION}sign = {{ scheme = \"fiix\" }}\n"));
    for key in ["app_key", "access_key", "secret"] {
        assert!(problems.contains(key), "{problems}");
    }
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

[[source]]
name = "d"
scheme = "github"
secret = ["canary", { env = "CANARY" }]

[[source]]
name = "e"
scheme = "token"
credential = "basic"
secret = "me:canary"
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
    let shown = format!(
        "{:?} {:?} {:?} {:?}",
        config.shown, config.shown_destinations, config.shown_sources, config.sources
    );
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
