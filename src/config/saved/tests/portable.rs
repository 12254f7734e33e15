//! What is saved can be taken elsewhere: certificates by their text, export and import.

use super::*;

#[test]
fn a_certificate_is_given_by_its_text_and_found_wherever_the_data_directory_is() {
    let pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    let home = Home::new();
    home.save(|saved| {
        saved.set("verify", pem).unwrap();
        let mut keys = cmms();
        keys.insert("tls".into(), json!({ "ca_file": pem }));
        saved.put(None, keys).unwrap();
    });
    assert!(home.saved().export().contains("BEGIN CERTIFICATE"));
    std::fs::rename(home.path("data"), home.path("moved")).unwrap();
    let moved = home.path("moved").display().to_string();
    let config = home.load(&[("DATA_DIR", &moved)]);
    let ca = config.destinations[0]
        .destination
        .tls
        .ca_file
        .clone()
        .unwrap();
    assert!(ca.starts_with(&moved), "{}", ca.display());
    let faults = home.refused(|saved| {
        saved
            .set("verify", "-----BEGIN CERTIFICATE-----\nnonsense")
            .unwrap();
    });
    assert_eq!(faults[0].about, About::Setting("verify"));
}

#[test]
fn an_import_of_an_export_is_the_same_configuration() {
    let home = Home::new();
    home.save(|saved| {
        saved.set("hostname", "orbit.example").unwrap();
        saved.set("api-token", CANARY).unwrap();
        saved.set("webhook-secret", KEY).unwrap();
        saved.put(None, cmms()).unwrap();
        let slack = json!({
            "name": "slack",
            "preset": "slack",
            "url": { "secret": format!("https://hooks.example/{CANARY}") },
        });
        saved.put(None, keys(slack)).unwrap();
    });
    let export = home.saved().export();
    assert!(
        !export.contains(CANARY) && !export.contains(KEY),
        "{export}"
    );
    let shown = |home: &Home| {
        let config = home.load(&[]);
        let mut settings = config.shown_settings();
        settings.retain(|shown| !matches!(&*shown.name, "data-dir" | "config-dir"));
        (settings, config.shown_destinations)
    };
    let none = BTreeMap::new();
    // Where it came from nothing is asked for.
    let Import::Ready(same) = home.saved().import(&export, &none).unwrap() else {
        panic!("all is there");
    };
    assert!(same.is_unchanged());
    let other = Home::new();
    let Import::Needs(needed) = other.saved().import(&export, &none).unwrap() else {
        panic!("secrets are missing");
    };
    let names: Vec<_> = needed.iter().map(|needed| &*needed.name).collect();
    assert_eq!(
        names,
        [
            "api-token",
            "cmms: auth.token",
            "slack: url",
            "webhook-secret"
        ]
    );
    let given = BTreeMap::from([
        ("api-token".to_owned(), CANARY.to_owned()),
        ("cmms: auth.token".to_owned(), CANARY.to_owned()),
        (
            "slack: url".to_owned(),
            format!("https://hooks.example/{CANARY}"),
        ),
        ("webhook-secret".to_owned(), KEY.to_owned()),
    ]);
    let Import::Ready(ready) = other.saved().import(&export, &given).unwrap() else {
        panic!("all was given");
    };
    let checked = ready.check(&other.bare(&[]), |_| Ok(())).unwrap();
    checked.write().unwrap();
    assert_eq!(shown(&other), shown(&home));
    assert_eq!(other.saved().export(), export);
    let config = other.load(&[]);
    assert_eq!(config.orbit.unwrap().token.expose(), CANARY);
}

#[test]
fn an_import_brings_nothing_that_could_name_a_file_and_its_faults_are_named() {
    let home = Home::new();
    let none = BTreeMap::new();
    for (text, what) in [
        ("nonsense", "not TOML"),
        ("a = 1\n", "version = 1"),
        (
            "version = 1\ndata_dir = \"/\"\n",
            "`data_dir` cannot be imported",
        ),
        ("version = 1\nsettings = 3\n", "`settings`"),
        (
            "version = 1\n[settings]\nasset-map = \"/etc/passwd\"\n",
            "cannot be set on the page",
        ),
        (
            "version = 1\n[settings]\nmax-age = { kept = true }\n",
            "not a secret",
        ),
        (
            "version = 1\n[[destination]]\nname = \"a\"\nurl = { file = \"/etc/passwd\" }\n",
            "write a text",
        ),
        (
            "version = 1\n[[destination]]\nname = \"a\"\n[[destination]]\nname = \"a\"\n",
            "twice",
        ),
    ] {
        let faults = home.saved().import(text, &none).unwrap_err();
        assert!(faults[0].what.contains(what), "{text}: {faults:?}");
    }
}
