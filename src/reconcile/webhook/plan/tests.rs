//! The plan as a table: what Orbit has, what is on record, what follows.

use super::*;
use crate::reconcile::webhook::{Address, Machine, Manage, OnExit};
use crate::relay::verify::Previous;

const OURS: &str = "http://10.0.0.5:21600";

fn secret(of: &str) -> WebhookSecret {
    WebhookSecret::parse(&of.repeat(32)).unwrap()
}

fn config() -> Config {
    Config {
        urls: vec![Url::parse(OURS).unwrap()],
        machine: Machine::Another,
        events: vec!["A".into(), "B".into()],
        enabled: true,
        validate_tls_cert: true,
        manage: Manage::Repair,
        on_exit: OnExit::Keep,
    }
}

fn record() -> Record {
    Record {
        uuid: "u".into(),
        url: OURS.into(),
        enabled: true,
        secret_fingerprint: secret("ab").fingerprint(),
        made: vec!["u".into()],
        ..Record::default()
    }
}

fn webhook() -> Webhook {
    Webhook {
        uuid: "u".into(),
        name: Some("mine".into()),
        url: Some(format!("{OURS}/")),
        enabled: Some(true),
        validate_tls_cert: Some(true),
        events: Some(vec!["B".into(), "A".into()]),
        secret: Some(shown(&"ab".repeat(32))),
        archived: None,
    }
}

fn shown(text: &str) -> Secret {
    Secret::new(text.to_owned())
}

/// Everything that a plan depends on; a test changes what it is about.
struct Case {
    config: Config,
    keys: Keys,
    record: Option<Record>,
    webhooks: Vec<Webhook>,
    observe: bool,
    by_person: bool,
    unverified: bool,
}

fn case(webhooks: impl Into<Vec<Webhook>>) -> Case {
    Case {
        config: config(),
        keys: Keys::one(secret("ab"), true),
        record: Some(record()),
        webhooks: webhooks.into(),
        observe: false,
        by_person: false,
        unverified: false,
    }
}

impl Case {
    fn view(&self) -> View<'_> {
        View {
            config: &self.config,
            url: self.config.urls.first().unwrap(),
            keys: &self.keys,
            record: self.record.as_ref(),
            webhooks: &self.webhooks,
            observe: self.observe,
            by_person: self.by_person,
            unverified: self.unverified,
        }
    }

    fn plan(&self) -> Plan {
        plan(&self.view())
    }

    fn differences(&self) -> Vec<&'static str> {
        self.plan().differences()
    }

    /// The uuid and the flag of a plan that does nothing.
    #[track_caller]
    fn left_alone(&self) -> (String, bool) {
        match self.plan() {
            Plan {
                act: Act::Nothing { uuid, enabled },
                adopt: None,
                doubled,
                ..
            } if doubled.is_empty() => (uuid, enabled),
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_webhook_that_is_right_is_left_alone() {
    let masked = ["********", "", &"*".repeat(64), &"0".repeat(64)].map(|text| Some(shown(text)));
    for secret in [webhook().secret, None].into_iter().chain(masked) {
        let webhook = Webhook {
            secret,
            ..webhook()
        };
        assert_eq!(case([webhook]).left_alone(), ("u".to_owned(), true));
    }
}

#[test]
fn what_orbit_leaves_out_is_not_compared_and_never_disables_it() {
    let bare = Webhook {
        url: None,
        enabled: None,
        validate_tls_cert: None,
        events: None,
        ..webhook()
    };
    assert_eq!(case([bare]).left_alone(), ("u".to_owned(), true));
}

#[test]
fn it_is_made_where_there_is_none_and_an_archived_one_does_not_count() {
    let archived = Webhook {
        archived: Some(true),
        ..webhook()
    };
    for webhooks in [vec![], vec![archived]] {
        assert_eq!(case(webhooks).plan().act, Act::Create);
    }
}

#[test]
fn each_difference_is_named() {
    let rows = [
        (
            "events",
            Webhook {
                events: Some(vec!["A".into()]),
                ..webhook()
            },
        ),
        (
            "TLS flag",
            Webhook {
                validate_tls_cert: Some(false),
                ..webhook()
            },
        ),
        (
            "address",
            Webhook {
                url: Some("http://10.0.0.4:21600".into()),
                ..webhook()
            },
        ),
        (
            "secret",
            Webhook {
                secret: Some(shown(&"cd".repeat(32))),
                ..webhook()
            },
        ),
    ];
    for (word, webhook) in rows {
        assert_eq!(case([webhook]).differences(), [word]);
    }
}

#[test]
fn someone_elses_webhook_is_never_touched() {
    let other = Webhook {
        uuid: "o".into(),
        url: Some("http://10.0.0.6:21600".into()),
        ..webhook()
    };
    let plan = case([other.clone()]).plan();
    assert_eq!(plan.act, Act::Create);
    assert!(plan.doubled.is_empty() && plan.twins.is_empty());
    let relation = relation(&other, &config(), Some(&record()), None);
    assert_eq!(relation, Relation::LookAlike);
}

#[test]
fn of_two_on_record_one_goes_and_a_twin_that_is_not_on_record_stays() {
    let with = |uuid: &str| Webhook {
        uuid: uuid.into(),
        ..webhook()
    };
    let elsewhere = Webhook {
        url: Some("http://10.0.0.9:1".into()),
        ..with("before")
    };
    let mut case = case([with("twin"), with("old"), elsewhere, webhook()]);
    case.record.as_mut().unwrap().made = ["before", "old", "u"].map(str::to_owned).into();
    let plan = case.plan();
    assert_eq!(plan.doubled, ["old"], "not the one that points elsewhere");
    assert_eq!(plan.twins, ["twin"]);
    assert!(matches!(plan.act, Act::Nothing { uuid, .. } if uuid == "u"));
}

#[test]
fn where_the_one_on_record_is_gone_another_of_ours_comes_before_a_strangers() {
    let with = |uuid: &str| Webhook {
        uuid: uuid.into(),
        ..webhook()
    };
    let mut case = case([with("twin"), with("old")]);
    case.record.as_mut().unwrap().made = ["old", "u"].map(str::to_owned).into();
    let plan = case.plan();
    assert!(matches!(plan.act, Act::Update { uuid, .. } if uuid == "old"));
    assert_eq!((plan.twins, plan.doubled.len()), (vec!["twin".into()], 0));
}

#[test]
fn first_contact_sets_everything() {
    let disabled = Webhook {
        enabled: Some(false),
        secret: None,
        ..webhook()
    };
    let mut case = case([disabled]);
    case.record = None;
    let Act::Update {
        enabled, why, name, ..
    } = case.plan().act
    else {
        panic!("it is taken over")
    };
    assert!(enabled);
    assert_eq!(name, "mine");
    assert_eq!(why, ["first contact", "enabled", "secret"]);
}

#[test]
fn observing_knows_no_first_contact_and_compares_no_secret_that_it_cannot_see() {
    let masked = Webhook {
        secret: None,
        ..webhook()
    };
    let mut case = case([masked]);
    case.record = None;
    case.observe = true;
    assert_eq!(case.left_alone(), ("u".to_owned(), true));
    case.webhooks[0].events = Some(Vec::new());
    assert_eq!(case.differences(), ["events"]);
    case.webhooks.clear();
    assert_eq!(case.differences(), ["missing"]);
}

#[test]
fn what_an_administrator_disabled_stays_disabled_until_the_flag_changes_or_a_person_says_so() {
    let disabled = Webhook {
        enabled: Some(false),
        ..webhook()
    };
    let mut case = case([disabled]);
    assert_eq!(case.left_alone(), ("u".to_owned(), false));
    case.by_person = true;
    assert_eq!(case.differences(), ["enabled"]);
    case.by_person = false;
    case.record.as_mut().unwrap().enabled = false;
    assert_eq!(case.differences(), ["enabled"]);
}

#[test]
fn what_the_relay_disabled_as_it_stopped_is_enabled_again() {
    let disabled = Webhook {
        enabled: Some(false),
        ..webhook()
    };
    let mut case = case([disabled]);
    case.record.as_mut().unwrap().disabled_on_exit = true;
    assert_eq!(case.differences(), ["enabled"]);
}

#[test]
fn what_a_person_deleted_stays_deleted_until_the_flag_changes_or_a_person_says_so() {
    let mut case = case([]);
    let record = case.record.as_mut().unwrap();
    (record.deleted, record.uuid) = (true, String::new());
    assert_eq!(case.plan().act, Act::StayDeleted);
    case.by_person = true;
    assert_eq!(case.plan().act, Act::Create);
    case.by_person = false;
    case.record.as_mut().unwrap().enabled = false;
    assert_eq!(case.plan().act, Act::Create);
}

#[test]
fn what_is_left_of_a_deletion_that_was_cut_off_goes_and_is_drift_where_it_is_only_observed() {
    let elsewhere = Webhook {
        uuid: "old".into(),
        url: Some("http://10.0.0.9:1".into()),
        ..webhook()
    };
    let strangers = Webhook {
        uuid: "twin".into(),
        ..webhook()
    };
    let mut case = case([webhook(), elsewhere, strangers]);
    let record = case.record.as_mut().unwrap();
    (record.deleted, record.made) = (true, ["old", "u"].map(str::to_owned).into());
    let plan = case.plan();
    assert_eq!(plan.act, Act::StayDeleted);
    assert_eq!((plan.doubled.len(), plan.twins.len()), (2, 1));
    case.observe = true;
    assert_eq!(case.differences(), [STILL_THERE]);
}

#[test]
fn a_masked_secret_is_given_to_orbit_when_ours_changed_or_events_did_not_verify() {
    let masked = Webhook {
        secret: Some(shown("***")),
        ..webhook()
    };
    let mut case = case([masked]);
    case.left_alone();
    case.unverified = true;
    assert_eq!(case.differences(), ["secret"]);
    case.unverified = false;
    case.record.as_mut().unwrap().secret_fingerprint = "0".into();
    assert_eq!(case.differences(), ["secret"]);
}

#[test]
fn a_secret_of_orbits_is_adopted_only_where_ours_was_made_and_all_of_it_is_shown() {
    let theirs = "cd".repeat(32);
    // What Orbit shows, whether ours was given, and whether theirs is taken over.
    let rows = [
        (Some(shown(&theirs)), false, true),
        (Some(shown(&theirs)), true, false),
        (Some(shown(&theirs.to_uppercase())), false, true),
        (Some(shown(&format!(" {theirs}"))), false, false),
        (Some(shown(&theirs[1..])), false, false),
        (Some(shown(&"0".repeat(64))), false, false),
        (Some(shown(&"xy".repeat(32))), false, false),
        (None, false, false),
    ];
    for (secret, given, adopted) in rows {
        for record in [Some(record()), None] {
            let text = secret.as_ref().map(|s| s.expose().to_owned());
            let first = record.is_none();
            let mut case = case([Webhook {
                secret: secret.clone(),
                ..webhook()
            }]);
            case.keys.given = given;
            case.record = record;
            let is = case.plan().adopt.is_some();
            assert_eq!(is, adopted, "{text:?}, given {given}, first {first}");
        }
    }
}

#[test]
fn while_our_secret_changes_orbits_old_one_is_set_right_and_not_adopted() {
    let mut case = case([webhook()]);
    case.keys = Keys {
        previous: Some(Previous::new(secret("ab"))),
        ..Keys::one(secret("cd"), false)
    };
    let plan = case.plan();
    assert_eq!(plan.differences(), ["secret"]);
    assert!(plan.adopt.is_none());
    // Cut off after Orbit was told and before the record was written.
    case.webhooks[0].secret = Some(shown(&"cd".repeat(32)));
    case.left_alone();
    // Orbit came back with what it had before.
    case.webhooks[0].secret = Some(shown(&"ab".repeat(32)));
    case.record.as_mut().unwrap().secret_fingerprint = secret("cd").fingerprint();
    assert!(case.plan().adopt.is_none());
    assert_eq!(case.differences(), ["secret"]);
}

#[test]
fn when_ours_is_gone_one_at_our_address_with_another_secret_is_somebody_elses() {
    let copy = |text: &str| Webhook {
        uuid: "copy".into(),
        secret: Some(shown(&text.repeat(32))),
        ..webhook()
    };
    let theirs = case([copy("cd")]).plan();
    assert_eq!(
        (theirs.act, theirs.twins),
        (Act::Create, vec!["copy".to_owned()])
    );
    let answered_to_nobody = case([copy("ab")]).plan();
    assert!(matches!(answered_to_nobody.act, Act::Update { .. }));
    let mut first_contact = case([copy("cd")]);
    first_contact.record = None;
    assert!(matches!(first_contact.plan().act, Act::Update { .. }));
}

/// Two addresses of ours, for an Orbit on this machine; the first is given.
fn here(webhooks: impl Into<Vec<Webhook>>) -> Case {
    let urls = ["http://127.0.0.1:21600", "http://172.17.0.1:21600"];
    let mut case = case(webhooks);
    case.config.urls = urls.map(|url| Url::parse(url).unwrap()).into();
    case.config.machine = Machine::Ours {
        gateway: "172.17.0.1".parse().ok(),
    };
    case
}

fn calling(url: &str) -> Webhook {
    Webhook {
        url: Some(url.to_owned()),
        ..webhook()
    }
}

#[test]
fn a_webhook_made_by_hand_for_any_name_of_this_machine_is_taken_over_with_any_path() {
    for url in [
        "http://0.0.0.0:21600",
        "http://0.0.0.0:21600/",
        "http://0.0.0.0:21600/some/path",
        "http://localhost:21600",
        "http://172.17.0.1:21600/hook",
    ] {
        let mut case = here([calling(url)]);
        case.record = None;
        let plan = case.plan();
        assert!(
            matches!(&plan.act, Act::Update { uuid, .. } if uuid == "u"),
            "{url}: {plan:?}"
        );
        case.config.machine = Machine::Another;
        case.config.urls.truncate(1);
        assert_eq!(case.plan().act, Act::Create, "{url}: of another machine");
    }
}

#[test]
fn what_a_person_makes_of_our_address_stands_where_it_is_the_same_and_a_path_is_repaired() {
    let rows = [
        ("http://127.0.0.1:21600/", vec![]),
        ("http://0.0.0.0:21600/", vec![]),
        ("http://localhost:21600", vec![]),
        ("http://0.0.0.0:21600/x", vec!["address"]),
        ("http://127.0.0.1:21600/x", vec!["address"]),
        ("http://172.17.0.1:21600", vec!["address"]),
        ("http://10.0.0.9:21600", vec!["address"]),
    ];
    for (url, differences) in rows {
        assert_eq!(here([calling(url)]).differences(), differences, "{url}");
    }
}

#[test]
fn at_any_of_our_addresses_a_strangers_is_a_twin_and_our_own_is_doubled() {
    let other = Webhook {
        uuid: "o".into(),
        ..calling("http://172.17.0.1:21600/x")
    };
    let mut case = here([calling("http://127.0.0.1:21600"), other.clone()]);
    assert_eq!(case.plan().twins, ["o"]);
    let relation = relation(&other, &case.config, case.record.as_ref(), Some("u"));
    assert_eq!(relation, Relation::Twin);
    case.record.as_mut().unwrap().made = ["o", "u"].map(str::to_owned).into();
    assert_eq!(case.plan().doubled, ["o"]);
}

#[test]
fn at_first_contact_the_one_with_our_url_is_taken_over_wherever_it_stands_in_the_list() {
    let second = Webhook {
        uuid: "second".into(),
        ..calling("http://172.17.0.1:21600")
    };
    let mut case = here([calling("http://0.0.0.0:21600/x"), second]);
    case.record = None;
    let address = Address::now(&case.config, None, &case.webhooks).unwrap();
    assert_eq!(address.url, "http://172.17.0.1:21600");
    let url = Url::parse(&address.url).unwrap();
    let plan = plan(&View {
        url: &url,
        ..case.view()
    });
    assert!(
        matches!(&plan.act, Act::Update { uuid, .. } if uuid == "second"),
        "{plan:?}"
    );
    assert_eq!(plan.twins, ["u"]);
}

#[test]
fn what_calls_loopback_on_orbits_own_machine_is_ours_only_if_it_is_on_record() {
    for host in ["0.0.0.0", "127.0.0.1", "localhost"] {
        let url = format!("http://{host}:21600");
        let mut case = case([calling(&url)]);
        case.config.urls = vec![Url::parse(&url).unwrap()];
        case.left_alone();
        case.record.as_mut().unwrap().uuid = "gone".into();
        assert!(
            matches!(case.plan().act, Act::Update { uuid, .. } if uuid == "u"),
            "{host}: it was made by us"
        );
        case.record = None;
        let plan = case.plan();
        assert_eq!(plan.act, Act::Create, "{host}");
        assert_eq!(plan.twins, [""; 0], "{host}: nothing comes twice");
    }
}
