//! Templates, steps and presets are looked at before any event comes.

use super::*;
use crate::relay::destination::presets;

/// What is said of a destination with these keys, each alone.
fn said(all: &[&str]) -> String {
    let said: Vec<_> = all.iter().map(|keys| of_destination(keys)).collect();
    said.join("\n")
}

#[test]
fn a_name_that_nobody_has_is_refused_with_the_nearest() {
    insta::assert_snapshot!(said(&[
        "body = { t = \"{{ inspection.titel }}\" }",
        "body = { t = \"on {{ inspections.title }}\" }",
        "body = { t = \"{{ readings[0].valeu }}\" }",
        "body = { for_each = \"readings\", value = \"{{ item.unti }}\" }",
        "body = { n = \"{{ [asset.ID] | join }}\" }",
        "for_each = \"captures\"\nbody = { n = \"{{ item.nam }}\" }",
        "settings = { site_id = \"A\" }\nbody = { s = \"{{ settings.site }}\" }",
        "when = \"inspection.severty > 2\"",
        "[[destination.step]]\nname = \"a\"\npath = \"/x/{{ asset.idd }}\"\nheaders = { x = \"{{ secrets.key }}\" }",
        "[[destination.step]]\nname = \"a\"\ntake = { id = \"json:/id\" }\n\
         [[destination.append]]\nname = \"b\"\npath = \"/{{ open.number }}\"",
    ]));
}

#[test]
fn what_goes_wrong_with_any_event_is_refused_and_each_place_is_named() {
    insta::assert_snapshot!(said(&[
        "body = { a = \"{{ inspection.summary | shorten }}\", b = [\"{{ asset.id | shorten('ten') }}\"] }",
        "body = { a = \"{{ inspection.time | local('Europe/Berln') }}\" }",
        "body = { a = \"{{ inspection.time | local('Europe/Berlin', '%!') }}\" }",
        "body = { a = \"{{ inspection.time | epoch(3) }}\" }",
        "body = { for_each = \"readings\", value = { n = \"{{ item.name | replace('', 'x') }}\" } }",
        "[[destination.step]]\nname = \"a\"\ntext = \"{{ key | short_key | shorten }}\"",
        "[[destination.step]]\nname = \"a\"\npath = \"/{{ key | shorten }}\"",
    ]));
}

#[test]
fn what_goes_wrong_for_what_is_missing_only_is_not_refused() {
    for body in [
        "\"{{ asset.attributes.site }}\"",
        "\"{{ inspection.title }} at {{ orbit_link }}\"",
        "\"{{ readings[7].number + 1 }}\"",
        "\"{{ readings[0] | to_unit('bar') }}\"",
        "\"{{ event.data.level | number + 1 }}\"",
        "\"{{ event.data.text | shorten(event.data.most) }}\"",
        "{ for_each = \"event.data.rows\", value = \"{{ item.x }}\" }",
        "\"{{ {3: '1'}[inspection.severity] }}\"",
        "\"{{ 1 / readings[0].number }}\"",
        "\"{{ 'fuel' + readings[9].name }}\"",
    ] {
        load(&format!("{DESTINATION}body = {{ a = {body} }}\n"));
    }
}

#[test]
fn what_is_wrong_with_a_step_is_named_at_its_key() {
    insta::assert_snapshot!(said(&[
        "[[destination.step]]\nname = \"a\"\nmethod = \"GET\"\nbody = { a = 1 }",
        "[[destination.step]]\nname = \"a\"\nurl = \"https://other.example/x\"",
        "[[destination.step]]\nname = \"a\"\n\nbody = { p = \"{{ secrets.password }}\" }",
        "secrets = { password = \"canary\" }\n[[destination.step]]\nname = \"a\"\nbody = { p = \"{{ secrets.password }}\" }",
        "[[destination.step]]\nname = \"a\"\nbody = { p = \"{{ steps.b.id }}\" }\n[[destination.step]]\nname = \"b\"",
        "[[destination.step]]\nname = \"a\"\n[[destination.step]]\nname = \"b\"\npath = \"/{{ steps.a.id }}\"",
        "[[destination.step]]\nname = \"a\"\ntake = { \"No Name\" = \"json:/id\" }",
        "[[destination.step]]\nname = \"a\"\nfresh = true\nfor_each = \"readings\"",
        "[[destination.step]]\nname = \"a\"\n[[destination.step]]\nname = \"a\"",
        "[[destination.step]]\nname = \"a\"\ncapture = true",
        "[[destination.step]]\nname = \"a\"\nbody = {}\ntext = \"x\"",
        "[[destination.step]]\nname = \"a\"\ntake = { id = \"/id\" }",
        "[[destination.step]]\nname = \"a\"\nbdy = {}",
        "body = {}\nstep = [{ name = \"a\" }]",
        "step = []",
        "for_each = \"readings\"",
        "body = \"{% if asset %}x{% endif %}\"",
        "while_open = \"append\"",
        "unmapped = \"keep\"",
        "images = \"inline\"",
        "image_limit = \"20MB\"",
        "images_limit = \"1GB\"",
        "enrich = { wait = \"long\" }",
    ]));
}

#[test]
fn what_a_preset_lacks_is_named_with_an_example() {
    let of = |keys: &str| of_destination(&format!("preset = \"{keys}"));
    let all = [
        "maximo\"",
        "maximo-service-request\"",
        "maximo-service-request\"\nsettings = {}",
        "maximo-service-request\"\nsettings = { site = \"A\", site_id = [\"A\"] }",
        "upkeep\"",
    ];
    insta::assert_snapshot!(all.map(of).join("\n"));
}

#[test]
fn every_preset_can_be_used_with_its_examples() {
    for (preset, declared) in preset::all() {
        let table = |names: Vec<String>| names.join(", ");
        let wanted = declared.settings.iter().filter(|of| of.default.is_none());
        let settings = wanted.map(|of| {
            let example = of.example.as_deref();
            format!("{} = \"{}\"", of.name, example.unwrap_or_default())
        });
        let secrets = declared
            .secrets
            .keys()
            .map(|name| format!("{name} = \"x\""));
        let text = format!(
            "{DESTINATION}preset = \"{}\"\nsettings = {{ {} }}\nsecrets = {{ {} }}\n",
            preset.name,
            table(settings.collect()),
            table(secrets.collect()),
        );
        let config = load(&text).destinations.remove(0);
        assert!(config.message.version.is_some(), "{}", preset.name);
        assert!(!declared.about.is_empty(), "{}", preset.name);
        assert_eq!(presets::find(preset.name), Some(preset));
    }
}

#[test]
fn what_is_given_wins_over_the_preset_and_is_shown_with_where_it_came_from() {
    let config = load(&format!(
        "{DESTINATION}preset = \"maximo-service-request\"\nsettings = {{ site_id = \"A\" }}\n\
         unmapped = \"send\"\nimages = \"none\"\nwhile_open = \"create\"\n"
    ));
    let wanted = [
        "preset",
        "sends",
        "append",
        "settings.site_id",
        "settings.priority",
        "images",
        "image_limit",
        "unmapped",
        "while_open",
        "drop_null",
        "enrich.wait",
        "on_closed.poll",
    ];
    let keys = &config.shown_destinations[0].keys;
    let shown: Vec<_> = keys
        .iter()
        .filter(|key| wanted.contains(&&*key.name))
        .map(|key| format!("{} = {} (from {})", key.name, key.value, key.origin))
        .collect();
    insta::assert_snapshot!(shown.join("\n"));
}
