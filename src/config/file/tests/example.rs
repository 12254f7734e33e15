//! The example is complete and says the truth.

use super::*;

const EXAMPLE: &str = include_str!("../../../../examples/relay.toml");

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
                _ => "long-enough-not-to-be-guessed",
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
    let [plain] = config.warnings.as_slice() else {
        panic!("{:?}", config.warnings);
    };
    assert!(plain.contains("--tls-cert"), "{plain}");
    assert_eq!(config.destinations.len(), 11);
    assert_eq!(config.sources.len(), 3);
    let hears = |name: &str| {
        config
            .destinations
            .iter()
            .any(|d| d.hears_notices() && d.destination.name == name)
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
                || line == format!("[[destination.{key}]]")
                || line == format!("[destination.{key}]")
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
    let assets = include_bytes!("../../../../examples/assets.csv");
    assert_eq!(
        crate::relay::assets::AssetMap::parse(assets).unwrap().len(),
        5
    );
}
