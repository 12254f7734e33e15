//! The presets' files as text: what can be said of them without the engine that runs them.
//!
//! # Invariants
//! - Pure.

/// The presets whose systems are simulated beside this, and the example.
const PRESETS: [(&str, &str); 7] = [
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
];

const TICKETS: [&str; 4] = [
    "maximo-service-request",
    "maximo-work-order",
    "sap-notification",
    "servicenow",
];

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
        // Not journalled: a crash after the ticket was made must see it.
        assert!(find.contains("fresh = true"), "{name}");
        assert!(create.contains("\nwhen = "), "{name}");
    }
}

#[test]
fn each_preset_has_its_page_and_the_page_says_what_it_was_tested_against() {
    for (name, text) in PRESETS {
        let page = format!("{}/docs/presets/{name}.md", env!("CARGO_MANIFEST_DIR"));
        let page = std::fs::read_to_string(page).unwrap();
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
