//! No secret comes back, and none goes where it was not given for.

use std::os::unix::fs::PermissionsExt as _;

use super::*;

#[test]
fn a_secret_is_a_file_of_mode_0600_and_is_nowhere_else() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("api-token", CANARY).unwrap();
        saved.set("hostname", "orbit.example").unwrap();
        let keys = keys(json!({
            "name": "cmms",
            "url": format!("https://cmms.example/in?sig={CANARY}"),
            "auth": { "type": "basic", "user": "relay", "password": CANARY },
            "headers": { "X-Key": CANARY },
            "sign": { "scheme": "hmac", "header": "X-Signature", "secret": CANARY },
            "proxy": format!("http://user:{CANARY}@proxy.example:3128"),
        }));
        saved.put(None, keys).unwrap();
    });
    let mut held = 0;
    for (name, text) in home.files() {
        let mode = std::fs::metadata(home.path("data/page").join(&name)).unwrap();
        assert_eq!(mode.permissions().mode() & 0o777, 0o600, "{name}");
        assert_eq!(
            text.contains(CANARY),
            name.starts_with("secrets/"),
            "{name}"
        );
        held += usize::from(name.starts_with("secrets/"));
    }
    assert_eq!(held, 6);
    let saved = home.saved();
    let config = home.load(&[]);
    let to = &config.destinations[0].destination;
    assert!(to.url.query().unwrap().contains(CANARY));
    let told = format!(
        "{saved:?} {:?} {:?} {} {:?} {:?}",
        saved.settings(),
        saved.destinations(),
        saved.export(),
        config.shown_settings(),
        config.shown_destinations
    );
    assert!(!told.contains(CANARY), "{told}");
    let kept = saved.destination("cmms").unwrap();
    assert_eq!(kept["auth"]["password"], json!({ "kept": true }));
    assert_eq!(kept["auth"]["user"], "relay");
}

#[test]
fn a_secret_that_is_not_given_again_is_kept_only_for_the_same_address() {
    let home = Home::new();
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let secret = home.files();
    home.save(|saved| {
        let mut keys = saved.destination("cmms").unwrap();
        keys.insert("url".into(), "https://cmms.example/other".into());
        keys.insert("timeout".into(), "5s".into());
        saved.put(Some("cmms"), keys).unwrap();
    });
    assert_eq!(
        home.files()["secrets/cmms.auth-token.1"],
        secret["secrets/cmms.auth-token.1"]
    );
    for url in [
        "https://elsewhere.example/in",
        "http://cmms.example/in",
        "https://cmms.example:8443/",
    ] {
        let mut saved = home.saved();
        let mut keys = saved.destination("cmms").unwrap();
        keys.insert("url".into(), url.into());
        let faults = saved.put(Some("cmms"), keys).unwrap_err();
        assert_eq!(faults[0].about, about("cmms", "auth.token"));
        assert!(faults[0].needs_secret && faults[0].what.contains("give this again"));
    }
    // Whoever stands between sees it too.
    for proxy in ["http://proxy.example:3128", "http://127.0.0.1:3128"] {
        let mut saved = home.saved();
        let mut keys = saved.destination("cmms").unwrap();
        keys.insert("proxy".into(), proxy.into());
        let faults = saved.put(Some("cmms"), keys).unwrap_err();
        assert_eq!(faults[0].about, about("cmms", "auth.token"));
        assert!(faults[0].needs_secret && faults[0].what.contains("proxy"));
    }
    // A new one is in force at once, and the old one is gone.
    home.save(|saved| saved.put(Some("cmms"), cmms()).unwrap());
    let names: Vec<_> = home.files().into_keys().collect();
    assert_eq!(
        names,
        [".env", "relay.toml", "secrets/cmms.auth-token.2"][1..]
    );
}

#[test]
fn a_kept_secret_goes_neither_through_another_proxy_nor_to_another_place_that_is_polled() {
    let home = Home::new();
    let when = "response.json.status == 'CLOSED'";
    let poll = |url: &str| json!({ "poll": url, "when": when });
    home.save(|saved| saved.put(None, cmms()).unwrap());
    let with = |changes: &[(&str, Json)]| {
        let mut saved = home.saved();
        let mut keys = saved.destination("cmms").unwrap();
        keys.extend(
            changes
                .iter()
                .map(|(key, value)| ((*key).into(), value.clone())),
        );
        saved.put(Some("cmms"), keys).map(|()| saved)
    };
    let refused = |changes: &[(&str, Json)]| {
        let faults = with(changes).unwrap_err();
        assert_eq!(faults[0].about, about("cmms", "auth.token"), "{changes:?}");
        assert!(faults[0].needs_secret, "{changes:?}");
    };
    refused(&[("proxy", json!("http://elsewhere.example:3128"))]);
    refused(&[(
        "proxy",
        json!({ "secret": "http://elsewhere.example:3128" }),
    )]);
    for url in [
        "http://cmms.example/{{ answer.id }}",
        "https://elsewhere.example/{{ answer.id }}",
        "https://cmms.example.elsewhere.example/",
        "{{ answer.url }}",
    ] {
        refused(&[("on_closed", poll(url))]);
    }
    // The destination itself may be polled.
    let own = poll("https://cmms.example/orders/{{ answer.id }}");
    assert!(with(&[("on_closed", own)]).is_ok());
    home.save(|saved| {
        let mut keys = cmms();
        keys.insert("proxy".into(), "http://proxy.example:3128".into());
        keys.insert(
            "on_closed".into(),
            poll("https://orders.example/{{ answer.id }}"),
        );
        saved.put(Some("cmms"), keys).unwrap();
    });
    // What is there already may stay, and what nobody is asked at any more may go.
    let other = poll("https://orders.example/x/{{ answer.id }}");
    assert!(with(&[("on_closed", other)]).is_ok());
    assert!(with(&[("on_closed", Json::Null), ("timeout", json!("5s"))]).is_ok());
    refused(&[("proxy", json!("http://other.example:3128"))]);
    refused(&[("proxy", Json::Null)]);
    // A gap before the path, and a step that goes elsewhere, are refused by the check.
    let gap = poll("https://cmms.example{{ answer.id }}/");
    let step = json!([{ "name": "a", "url": "https://elsewhere.example/" }]);
    for (key, value) in [("on_closed", gap), ("step", step)] {
        let saved = with(&[(key, value)]).unwrap();
        let faults = saved.check(&home.bare(&[]), |_| Ok(())).unwrap_err();
        let is_there =
            matches!(&faults[0].about, About::Key { key: at, .. } if at.starts_with(key));
        assert!(is_there, "{faults:?}");
    }
}

#[test]
fn where_a_secret_stands_above_the_page_its_address_is_not_set_on_the_page() {
    let home = Home::new();
    for (variable, setting, value) in [
        ("ORBIT_API_TOKEN", "hostname", "elsewhere.example"),
        ("ORBIT_API_TOKEN", "verify", "false"),
        ("WEBHOOK_SECRET", "hostname", "elsewhere.example"),
        (
            "INTEGRATION_AUTH",
            "integration-url",
            "https://elsewhere.example/",
        ),
    ] {
        let secret = match variable {
            "INTEGRATION_AUTH" => format!("Bearer {CANARY}"),
            "WEBHOOK_SECRET" => KEY.to_owned(),
            _ => CANARY.to_owned(),
        };
        let bare = home.bare(&[(variable, &secret)]);
        let mut saved = home.saved();
        saved.set(setting, value).unwrap();
        let faults = saved.clone().check(&bare, |_| Ok(())).unwrap_err();
        assert_eq!(faults[0].about, About::Setting(setting));
        let said = &faults[0].what;
        assert!(said.contains(&format!("is set by {variable}")), "{said}");
        assert!(!said.contains(&secret), "{said}");
        // Nor by an import.
        let export = saved.export();
        let import = home.saved().import(&export, &BTreeMap::new()).unwrap();
        let Import::Ready(candidate) = import else {
            panic!("{import:?}")
        };
        assert!(candidate.check(&bare, |_| Ok(())).is_err(), "{setting}");
        saved.check(&home.bare(&[]), |_| Ok(())).unwrap();
    }
    let placeholder = home.bare(&[("ORBIT_API_TOKEN", "YOUR_API_TOKEN")]);
    assert_eq!(placeholder.bound("hostname"), None);
    assert_eq!(
        home.bare(&[("ORBIT_API_TOKEN", CANARY)]).bound("max-age"),
        None
    );
}

#[test]
fn the_authentication_does_not_follow_the_integration_url() {
    let home = Home::new();
    home.save(|saved| {
        saved
            .set("integration-url", "https://cmms.example/in")
            .unwrap();
        saved.set("integration-auth", "Bearer canary-7d1f").unwrap();
    });
    home.save(|saved| {
        saved
            .set("integration-url", "https://cmms.example/other")
            .unwrap();
    });
    let elsewhere = "https://elsewhere.example/in";
    let faults = home.refused(|saved| saved.set("integration-url", elsewhere).unwrap());
    assert_eq!(faults[0].about, About::Setting("integration-auth"));
    assert!(faults[0].needs_secret, "{faults:?}");
    let export = home
        .saved()
        .export()
        .replace("cmms.example", "elsewhere.example");
    let import = home.saved().import(&export, &BTreeMap::new()).unwrap();
    let Import::Needs(needed) = import else {
        panic!("{import:?}")
    };
    assert_eq!(needed[0].name, "integration-auth");
}

#[test]
fn the_token_does_not_follow_orbits_address() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("hostname", "orbit.example").unwrap();
        saved.set("api-token", CANARY).unwrap();
    });
    let faults = home.refused(|saved| saved.set("hostname", "elsewhere.example").unwrap());
    assert_eq!(faults[0].about, About::Setting("api-token"));
    let faults = home.refused(|saved| assert!(saved.unset("hostname").unwrap()));
    assert!(faults[0].needs_secret, "{faults:?}");
    home.save(|saved| {
        saved.set("hostname", "elsewhere.example").unwrap();
        saved.set("api-token", "another").unwrap();
    });
    assert_eq!(home.load(&[]).orbit.unwrap().token.expose(), "another");
    assert_eq!(home.files().len(), 2, "the old token's file is gone");
}

#[test]
fn the_webhook_secret_does_not_follow_orbits_address() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("hostname", "orbit.example").unwrap();
        saved.set("webhook-secret", &"ab".repeat(32)).unwrap();
    });
    let faults = home.refused(|saved| saved.set("hostname", "elsewhere.example").unwrap());
    assert_eq!(faults[0].about, About::Setting("webhook-secret"));
    assert!(faults[0].needs_secret, "{faults:?}");
    home.save(|saved| {
        saved.set("hostname", "elsewhere.example").unwrap();
        saved.set("webhook-secret", &"cd".repeat(32)).unwrap();
    });
}
