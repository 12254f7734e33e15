//! The presets' files as text: what can be said of them without the engine that runs them.
//!
//! # Invariants
//! - Pure.

/// All presets.
const PRESETS: [(&str, &str); 14] = [
    (
        "generic",
        include_str!("../../../relay/destination/presets/generic.toml"),
    ),
    (
        "ignition",
        include_str!("../../../relay/destination/presets/ignition.toml"),
    ),
    (
        "maximo-service-request",
        include_str!("../../../relay/destination/presets/maximo-service-request.toml"),
    ),
    (
        "maximo-work-order",
        include_str!("../../../relay/destination/presets/maximo-work-order.toml"),
    ),
    (
        "pi-web-api",
        include_str!("../../../relay/destination/presets/pi-web-api.toml"),
    ),
    (
        "sap-notification",
        include_str!("../../../relay/destination/presets/sap-notification.toml"),
    ),
    (
        "servicenow",
        include_str!("../../../relay/destination/presets/servicenow.toml"),
    ),
    (
        "fiix",
        include_str!("../../../relay/destination/presets/fiix.toml"),
    ),
    (
        "kafka-rest",
        include_str!("../../../relay/destination/presets/kafka-rest.toml"),
    ),
    (
        "limble",
        include_str!("../../../relay/destination/presets/limble.toml"),
    ),
    (
        "maintainx",
        include_str!("../../../relay/destination/presets/maintainx.toml"),
    ),
    (
        "slack",
        include_str!("../../../relay/destination/presets/slack.toml"),
    ),
    (
        "teams",
        include_str!("../../../relay/destination/presets/teams.toml"),
    ),
    (
        "upkeep",
        include_str!("../../../relay/destination/presets/upkeep.toml"),
    ),
];

const TICKETS: [&str; 6] = [
    "fiix",
    "limble",
    "maximo-service-request",
    "maximo-work-order",
    "sap-notification",
    "servicenow",
];

/// Those that make tickets in a system where none can be looked for.
const BLIND_TICKETS: [&str; 2] = ["maintainx", "upkeep"];

#[test]
fn a_ticket_preset_takes_alerts_parks_what_is_unmapped_and_looks_anew_before_it_creates() {
    for (name, text) in PRESETS.iter().filter(|(name, _)| TICKETS.contains(name)) {
        assert!(
            text.contains("events = [\"ACTION_COMPLETED_WITH_ALERT\"]"),
            "{name}"
        );
        assert!(text.contains("once_per = \"inspection\""), "{name}");
        assert!(text.contains("unmapped = \"park\""), "{name}");
        let find = text.split("name = \"find\"").nth(1).unwrap();
        let (find, create) = find.split_once("name = \"create\"").unwrap();
        // Done anew in each try: one after a crash must see the ticket that was made.
        let anew = ["fresh = true", "method = \"GET\""];
        assert!(anew.iter().any(|key| find.contains(key)), "{name}");
        assert!(create.contains("\nwhen = "), "{name}");
    }
}

#[test]
fn a_ticket_preset_that_cannot_look_says_on_its_page_that_there_may_be_a_second_ticket() {
    for (name, text) in PRESETS {
        let page = page_of(name);
        let blind = BLIND_TICKETS.contains(&name);
        assert_eq!(
            page.contains("a second order may be made."),
            blind,
            "{name}"
        );
        if blind {
            assert!(
                text.contains("events = [\"ACTION_COMPLETED_WITH_ALERT\"]"),
                "{name}"
            );
            assert!(text.contains("once_per = \"inspection\""), "{name}");
            assert!(text.contains("unmapped = \"park\""), "{name}");
        }
    }
}

#[test]
fn each_preset_has_its_page_and_the_page_says_what_it_was_tested_against() {
    for (name, text) in PRESETS {
        let page = page_of(name);
        assert!(page.contains("tested against a simulated"), "{name}");
        let settings = text
            .lines()
            .filter_map(|line| line.strip_prefix("[settings."));
        for setting in settings {
            let setting = setting.trim_end_matches(']');
            assert!(
                page.contains(&format!("| `{setting}` |")),
                "{name}: {setting}"
            );
        }
    }
}

fn page_of(preset: &str) -> String {
    let page = format!("{}/docs/presets/{preset}.md", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(page).unwrap()
}
