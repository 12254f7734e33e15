//! What the page saves: how it counts, that it is checked and written whole, that no secret comes
//! back.

mod portable;
mod secrets;

use serde_json::json;

use super::*;
use crate::config::gateway::Routes;
use crate::config::{Config, Input};

const CANARY: &str = "canary-7d1f";
const KEY: &str = "abababababababababababababababababababababababababababababababab";

/// A data directory, and a folder for the configuration.
struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        let home = Self(tempfile::tempdir().unwrap());
        for dir in ["config", "data"] {
            std::fs::create_dir(home.path(dir)).unwrap();
        }
        home
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn write(&self, path: &str, text: &str) {
        std::fs::write(self.path(path), text).unwrap();
    }

    fn bare(&self, more: &[(&str, &str)]) -> Input {
        let dirs = [("CONFIG_DIR", "config"), ("DATA_DIR", "data")];
        let dirs = dirs.map(|(name, dir)| {
            let dir = self.path(dir).display().to_string();
            (name.to_owned(), dir)
        });
        let more = more.iter();
        let more = more.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Input {
            environment: dirs.into_iter().chain(more).collect(),
            routes: Routes {
                ipv4: "eth0 00000000 010011AC 0003 0 0 0 00000000 0 0 0".to_owned(),
                in_container: true,
                ..Routes::default()
            },
            ..Input::default()
        }
    }

    fn saved(&self) -> Saved {
        Saved::read(&self.path("data")).unwrap()
    }

    fn load(&self, more: &[(&str, &str)]) -> Config {
        let mut input = self.bare(more);
        input.read_files().unwrap();
        Config::load(&input).unwrap()
    }

    /// Saves what `change` makes of what is saved.
    #[track_caller]
    fn save(&self, change: impl FnOnce(&mut Saved)) {
        let mut saved = self.saved();
        change(&mut saved);
        let checked = saved.check(&self.bare(&[]), |_| Ok(())).unwrap();
        checked.write().unwrap();
    }

    /// What is wrong with what `change` makes of it.
    #[track_caller]
    fn refused(&self, change: impl FnOnce(&mut Saved)) -> Vec<Fault> {
        let mut saved = self.saved();
        change(&mut saved);
        saved.check(&self.bare(&[]), |_| Ok(())).unwrap_err()
    }

    /// Each file of the page with what stands in it.
    fn files(&self) -> BTreeMap<String, String> {
        let mut all = BTreeMap::new();
        let dir = self.path("data/page");
        for dir in [dir.clone(), dir.join("secrets")] {
            for entry in std::fs::read_dir(dir).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_file() {
                    let name = path.strip_prefix(self.path("data/page")).unwrap();
                    let text = std::fs::read_to_string(&path).unwrap();
                    all.insert(name.display().to_string(), text);
                }
            }
        }
        all
    }

    fn setting(&self, name: &str, more: &[(&str, &str)]) -> (String, String) {
        let shown = self.load(more).shown_settings();
        let shown = shown.into_iter().find(|shown| shown.name == name).unwrap();
        (shown.value, shown.origin)
    }
}

fn keys(value: Json) -> Keys {
    serde_json::from_value(value).unwrap()
}

fn cmms() -> Keys {
    keys(json!({
        "name": "cmms",
        "url": "https://cmms.example/in",
        "auth": { "type": "bearer", "token": CANARY },
    }))
}

fn about(destination: &str, key: &str) -> About {
    About::Key {
        destination: destination.to_owned(),
        key: key.to_owned(),
    }
}

#[test]
fn what_the_page_saved_is_the_lowest_level_and_says_where_it_comes_from() {
    let home = Home::new();
    home.save(|saved| saved.set("max-age", "1m").unwrap());
    let of = |more: &[_]| home.setting("max-age", more);
    let pair = |value: &str, origin: &str| (value.to_owned(), origin.to_owned());
    assert_eq!(of(&[]), pair("1m", "saved on the page"));
    home.write("data/relay.toml", "max_age = \"2m\"\n");
    assert_eq!(of(&[]).0, "2m");
    home.write("data/.env", "MAX_AGE=3m\n");
    assert_eq!(of(&[]).0, "3m", "kept from a package");
    home.write("config/.env", "MAX_AGE=4m\n");
    assert_eq!(of(&[]).0, "4m");
    assert_eq!(of(&[("MAX_AGE", "5m")]), pair("5m", "MAX_AGE"));
    let mut flagged = home.bare(&[("MAX_AGE", "5m")]);
    flagged.flags.insert("max-age".into(), "6m".into());
    flagged.read_files().unwrap();
    assert_eq!(flagged.locked("max-age").unwrap(), "--max-age");
}

#[test]
fn another_configuration_file_counts_in_the_place_of_the_pages_as_a_whole() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("max-age", "1m").unwrap();
        saved.put(None, cmms()).unwrap();
    });
    let names = |config: &Config| {
        let all = config.shown_destinations.iter();
        all.map(|shown| shown.name.clone()).collect::<Vec<_>>()
    };
    let config = home.load(&[]);
    assert_eq!(names(&config), ["cmms"]);
    let keys = &config.shown_destinations[0].keys;
    let url = keys.iter().find(|key| key.name == "url").unwrap();
    assert_eq!(url.origin, "saved on the page");
    home.write("config/relay.toml", "");
    assert_eq!(names(&home.load(&[])), [""; 0]);
    assert_eq!(home.setting("max-age", &[]).0, "1m", "settings still count");
    let mut input = home.bare(&[]);
    input.read_files().unwrap();
    let path = home.path("config/relay.toml").display().to_string();
    assert_eq!(input.file_above_page().unwrap(), path);
    let faults = home.refused(|saved| assert!(saved.remove("cmms")));
    assert!(faults[0].what.contains(&path), "{faults:?}");
}

#[test]
fn a_map_that_the_page_saved_counts_where_there_is_no_other() {
    let home = Home::new();
    std::fs::create_dir(home.path("data/page")).unwrap();
    home.write("data/page/assets.csv", "");
    let (path, origin) = home.setting("asset-map", &[]);
    assert_eq!(
        path,
        home.path("data/page/assets.csv").display().to_string()
    );
    assert_eq!(origin, "saved on the page");
    home.write("data/assets.csv", "");
    assert_eq!(home.setting("asset-map", &[]).1, "the data directory");
}

#[test]
fn what_says_where_files_are_or_who_is_let_in_cannot_be_saved() {
    let home = Home::new();
    for name in [
        "config",
        "config-dir",
        "package-dir",
        "data-dir",
        "asset-map",
        "ops-bind",
    ] {
        let fault = home.saved().set(name, "x").unwrap_err();
        assert!(
            fault.what.contains("cannot be set on the page"),
            "{fault:?}"
        );
    }
    let fault = home.saved().set("hostnam", "x").unwrap_err();
    assert!(fault.what.contains("did you mean `hostname`?"), "{fault:?}");
    home.save(|saved| saved.set("max-age", "1m").unwrap());
    let elsewhere = home.path("elsewhere.toml").display().to_string();
    home.write("elsewhere.toml", "max_age = \"9m\"\n");
    home.write(
        "data/page/.env",
        &format!("RELAY_CONFIG={elsewhere}\nDATA_DIR=/\n"),
    );
    let config = home.load(&[]);
    assert_eq!(config.data_dir, home.path("data"));
    assert_eq!(config.max_age.as_secs(), 300, "by hand neither");
    let warnings = config.warnings.join("\n");
    assert!(
        warnings.contains("RELAY_CONFIG does not count here"),
        "{warnings}"
    );
}

#[test]
fn what_is_set_above_is_locked_and_a_placeholder_is_not() {
    let home = Home::new();
    home.write(
        "data/.env",
        "ORBIT_HOSTNAME=orbit.example\nORBIT_API_TOKEN=YOUR_API_TOKEN\n",
    );
    let faults = home.refused(|saved| saved.set("hostname", "other.example").unwrap());
    assert_eq!(faults[0].about, About::Setting("hostname"));
    assert!(faults[0].what.contains("ORBIT_HOSTNAME in "), "{faults:?}");
    home.save(|saved| saved.set("api-token", CANARY).unwrap());
    let config = home.load(&[]);
    assert_eq!(config.orbit.unwrap().token.expose(), CANARY);
    let mut input = home.bare(&[]);
    input.read_files().unwrap();
    assert_eq!(input.locked("api-token"), None);
    assert!(
        input
            .locked("hostname")
            .unwrap()
            .starts_with("ORBIT_HOSTNAME in")
    );
    assert_eq!(input.locked("max-age"), None);
}

#[test]
fn a_candidate_is_refused_with_the_setting_or_the_key_that_it_is_about_and_leaves_nothing() {
    let home = Home::new();
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let before = home.files();
    let put = |value: Json| {
        home.refused(|saved| {
            let old = saved.destination("cmms").map(|_| "cmms");
            saved.put(old, keys(value)).unwrap();
        })
    };
    let faults = home.refused(|saved| saved.set("max-age", "soon").unwrap());
    assert_eq!(faults[0].about, About::Setting("max-age"));
    let faults = home.refused(|saved| {
        saved.set("webhook-secret", "canary").unwrap();
        saved.set("hostname", "a b").unwrap();
    });
    let abouts: Vec<_> = faults.iter().map(|fault| fault.about.clone()).collect();
    assert!(
        abouts.contains(&About::Setting("webhook-secret")),
        "{faults:?}"
    );
    assert!(abouts.contains(&About::Setting("hostname")), "{faults:?}");
    for (value, key) in [
        (json!({ "name": "cmms", "url": "nowhere" }), "url"),
        (json!({ "name": "cmms" }), ""),
        (
            json!({ "name": "cmms", "url": "http://a/", "auth": { "type": "barer" } }),
            "auth.type",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "auth": { "type": "bearer", "token": "a\nb" } }),
            "auth.token",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "timeout": "1ns" }),
            "timeout",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "preset": "sp" }),
            "preset",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "preset": "ignition" }),
            "",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "nonsense": 1 }),
            "nonsense",
        ),
        (
            json!({ "name": "cmms", "url": "http://a/", "step": [
                { "name": "a", "body": {} }, { "name": "b", "body": "{{ nonsense( }}" }
            ] }),
            "step.body",
        ),
        (
            json!({ "name": "cmms", "url": "http://169.254.169.254/" }),
            "url",
        ),
    ] {
        let faults = put(value);
        assert_eq!(faults[0].about, about("cmms", key), "{faults:?}");
    }
    let mut saved = home.saved();
    saved.set("max-age", "1m").unwrap();
    let faults = saved.check(&home.bare(&[]), |_| Err("the parts".into()));
    assert_eq!(faults.unwrap_err()[0].what, "the parts");
    assert_eq!(home.files(), before);
}

#[test]
fn names_and_places_are_refused_where_they_are_given() {
    let home = Home::new();
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let put = |old: Option<&str>, value: Json| {
        let faults = home.saved().put(old, keys(value)).unwrap_err();
        (faults[0].about.clone(), faults[0].what.clone())
    };
    for (old, value, key) in [
        (None, json!({ "url": "http://a/" }), ("", "name")),
        (None, json!({ "name": "CMMS" }), ("CMMS", "name")),
        (None, json!({ "name": "cmms" }), ("cmms", "name")),
        (Some("gone"), json!({ "name": "gone" }), ("gone", "name")),
        (
            None,
            json!({ "name": "a", "tls": { "ca_file": "/etc/passwd" } }),
            ("a", "tls.ca_file"),
        ),
        (
            None,
            json!({ "name": "a", "auth": { "type": "bearer", "token": { "file": "/etc/passwd" } } }),
            ("a", "auth.token"),
        ),
        (
            None,
            json!({ "name": "a", "secrets": { "p": { "env": "HOME" } } }),
            ("a", "secrets.p"),
        ),
        (
            None,
            json!({ "name": "a", "url": { "file": "/etc/passwd" } }),
            ("a", "url"),
        ),
        (
            None,
            json!({ "name": "a", "url": { "kept": true } }),
            ("a", "url"),
        ),
        (
            None,
            json!({ "name": "a", "auth": { "type": "oauth2", "token_url": "https://u:p@a/" } }),
            ("a", "auth.token_url"),
        ),
        (
            None,
            json!({ "name": "a", "tls": { "ca_file": "secrets/../../.env" } }),
            ("a", "tls.ca_file"),
        ),
    ] {
        let (found, what) = put(old, value);
        assert_eq!(found, about(key.0, key.1), "{what}");
    }
    let mut saved = home.saved();
    for (name, value) in [
        ("verify", "/etc/passwd"),
        ("tls-cert", "/etc/passwd"),
        ("hostname", "secrets/x"),
        ("hostname", "a\nb"),
        ("integration-url", "https://user:canary@cmms.example/"),
    ] {
        let fault = saved.set(name, value).unwrap_err();
        assert_eq!(fault.about, About::Setting(known(name).unwrap().name));
        assert!(!fault.what.contains("canary"), "{fault:?}");
    }
    assert!(saved.is_unchanged());
}

#[test]
fn a_destination_that_gets_another_name_keeps_its_id() {
    let home = Home::new();
    std::fs::create_dir(home.path("data/page")).unwrap();
    let file = "notify = [\"cmms\"]\n[[destination]]\nname = \"cmms\"\nurl = \"http://a/\"\n";
    home.write("data/page/relay.toml", file);
    home.save(|saved| {
        let mut keys = saved.destination("cmms").unwrap();
        keys.insert("name".into(), "eam".into());
        saved.put(Some("cmms"), keys).unwrap();
    });
    let config = home.load(&[]);
    let to = &config.destinations[0].destination;
    assert_eq!((&*to.name, &*to.id), ("eam", "cmms"));
    assert!(
        config
            .shown
            .iter()
            .any(|s| s.name == "notify" && s.value == "eam")
    );
    home.save(|saved| assert!(saved.remove("eam")));
    assert!(home.load(&[]).destinations.is_empty());
    assert!(!home.saved().remove("eam"));
}

#[test]
fn what_cannot_be_written_leaves_all_as_it_was() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("max-age", "1m").unwrap();
        saved.put(None, cmms()).unwrap();
    });
    let before = home.files();
    for blocked in [".env.new", "relay.toml.new"] {
        let mut saved = home.saved();
        saved.set("max-age", "2m").unwrap();
        saved.put(Some("cmms"), cmms()).unwrap();
        let checked = saved.check(&home.bare(&[]), |_| Ok(())).unwrap();
        // What is a folder cannot be replaced by a file.
        let blocked = home.path("data/page").join(blocked);
        std::fs::create_dir_all(blocked.join("x")).unwrap();
        let error = checked.write().unwrap_err().to_string();
        assert!(error.contains("cannot be written"), "{error}");
        std::fs::remove_dir_all(blocked).unwrap();
        std::fs::remove_file(home.path("data/page/.env.new")).ok();
        assert_eq!(home.files(), before);
    }
}

#[test]
fn where_the_second_file_cannot_take_its_place_the_first_one_is_put_back() {
    let home = Home::new();
    let dir = home.path("data");
    for before in [None, Some("old")] {
        before.inspect(|text| home.write("data/.env", text));
        home.write("data/.env.new", "new");
        home.write("data/relay.toml.new", "new");
        std::fs::create_dir_all(home.path("data/relay.toml/x")).unwrap();
        let bytes = before.map(str::as_bytes);
        let taken = write::take_places(&dir, &[(".env", bytes), ("relay.toml", None)]);
        assert!(taken.unwrap_err().to_string().contains("relay.toml"));
        let now = std::fs::read_to_string(home.path("data/.env")).ok();
        assert_eq!(now.as_deref(), before);
    }
}

#[test]
fn what_somebody_else_saved_meanwhile_is_not_overwritten() {
    let home = Home::new();
    let mut slow = home.saved();
    slow.set("max-age", "2m").unwrap();
    let slow = slow.check(&home.bare(&[]), |_| Ok(())).unwrap();
    home.save(|saved| saved.set("max-age", "3m").unwrap());
    assert!(matches!(slow.write(), Err(WriteError::Changed)));
    assert_eq!(home.setting("max-age", &[]).0, "3m");
}

#[test]
fn what_a_start_would_not_read_for_its_size_is_not_saved() {
    let home = Home::new();
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let before = home.files();
    let faults = home.refused(|saved| {
        let mut keys = saved.destination("cmms").unwrap();
        let body = "x".repeat(1024 * 1024);
        keys.insert("transform".into(), json!({ "template": body }));
        saved.put(Some("cmms"), keys).unwrap();
    });
    assert!(
        faults[0]
            .what
            .contains("relay.toml would be larger than 1 MiB"),
        "{faults:?}"
    );
    assert_eq!(home.files(), before);
}

#[test]
fn a_folder_that_is_not_synced_leaves_the_secrets_that_count() {
    let home = Home::new();
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let mut saved = home.saved();
    saved.put(Some("cmms"), cmms()).unwrap();
    let checked = saved.check(&home.bare(&[]), |_| Ok(())).unwrap();
    checked
        .write_and(|_| Err(std::io::Error::other("no room")))
        .unwrap();
    assert_eq!(home.load(&[]).destinations.len(), 1);
    // The disk may still have the file that names the old one.
    let names: Vec<_> = home.files().into_keys().collect();
    assert_eq!(
        names,
        [
            "relay.toml",
            "secrets/cmms.auth-token.1",
            "secrets/cmms.auth-token.2"
        ]
    );
}

#[test]
fn what_was_left_behind_by_a_crash_is_swept_away() {
    let home = Home::new();
    std::fs::create_dir_all(home.path("data/page/secrets")).unwrap();
    home.write("data/page/secrets/api-token.1", CANARY);
    home.write("data/page/.env.new", "half");
    home.save(|saved| saved.set("api-token", "mine").unwrap());
    let names: Vec<_> = home.files().into_keys().collect();
    assert_eq!(names, [".env", "secrets/api-token.2"]);
}

#[test]
fn any_value_comes_back_as_it_was_given() {
    let home = Home::new();
    for value in [
        "a b",
        "it's",
        "\"q\"",
        "$HOME",
        "back\\slash\\",
        "#1",
        "größer 🦀",
        "a,b",
    ] {
        let mut saved = home.saved();
        saved.set("time-zone", value).unwrap();
        let checked = saved.check(&home.bare(&[]), |_| Ok(())).unwrap();
        checked.write().unwrap();
        let settings = home.saved().settings();
        assert_eq!(settings, [("time-zone", Some(value.to_owned()))]);
    }
}
#[test]
fn files_that_cannot_be_used_are_named_and_not_overwritten() {
    let home = Home::new();
    std::fs::create_dir(home.path("data/page")).unwrap();
    home.write("data/page/.env", "X='canary\n");
    let error = Saved::read(&home.path("data")).unwrap_err().to_string();
    assert!(error.contains("page/.env cannot be used"), "{error}");
    home.write("data/page/.env", "");
    home.write("data/page/relay.toml", "secret = \"canary\nx");
    let error = Saved::read(&home.path("data")).unwrap_err().to_string();
    assert!(error.contains("page/relay.toml cannot be used"), "{error}");
    assert!(!error.contains("canary"), "{error}");
}
