//! Setup against real parts: what is saved counts, what is refused leaves nothing, no secret comes
//! back. Who may do it is not asked here.

use std::path::PathBuf;
use std::sync::Mutex;

use axum::body::to_bytes;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use super::super::access::{Access, Role};
use super::super::{Outside, Recent};
use super::*;
use crate::app::{App, Exit, Handles, Listeners, Pages};
use crate::clock::Clock;
use crate::config::{Config, Input};
use crate::relay::journal::{Availability, Reader};

const CANARY: &str = "canary-51b7";

/// A relay with its page, and no guard before it.
struct Relay {
    dir: tempfile::TempDir,
    page: Arc<Page>,
    app: App,
    stop: CancellationToken,
}

impl Relay {
    async fn start(variables: &[(&str, &str)]) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), variables).await
    }

    async fn start_in(dir: tempfile::TempDir, variables: &[(&str, &str)]) -> Self {
        let data = dir.path().join("data").display().to_string();
        let own = [
            ("DATA_DIR", &*data),
            ("BIND", "127.0.0.1"),
            ("WEBHOOK_HOST", "127.0.0.1"),
        ];
        let all = own.iter().chain(variables);
        let bare = Input {
            environment: all
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                .collect(),
            ..Input::default()
        };
        let mut input = bare.clone();
        input.read_files().unwrap();
        let mut config = Config::load(&input).unwrap();
        config.check_at_start = false;
        let (clock, stop) = (Clock::system(), CancellationToken::new());
        let outside = Outside {
            access: Arc::new(Access::new(clock.clone())),
            input: bare,
            apply: Arc::new(Notify::new()),
            log: Arc::<Recent>::default(),
        };
        let made = Arc::new(Mutex::new(None));
        let kept = Arc::clone(&made);
        let pages: Pages = Box::new(move |handles: Handles| {
            *kept.lock().unwrap() = Some(Arc::new(Page::new(handles, outside)));
            Router::new()
        });
        let listeners = Listeners {
            webhook: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            ops: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        };
        let app = App::build(config, listeners, clock, stop.clone(), Some(pages)).unwrap();
        let page = made.lock().unwrap().take().unwrap();
        let mut journal = app.parts.journal.clone();
        let open = journal.wait_for(|now| *now == Availability::Open);
        drop(open.await.unwrap());
        Self {
            dir,
            page,
            app,
            stop,
        }
    }

    /// The page, and who may set it up.
    fn ask(&self) -> (State<Arc<Page>>, Configure) {
        (
            State(Arc::clone(&self.page)),
            Configure(person(Role::Configure)),
        )
    }

    /// Whether the parts were asked to be built again.
    fn is_applied(&self) -> bool {
        let told = at_once(self.page.outside.apply.notified());
        told.is_some()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("data").join(name)
    }

    fn saved(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(&format!("page/{name}"))).unwrap_or_default()
    }

    /// What was kept of acts.
    fn acts(&self) -> String {
        let mut reader = Reader::open(&self.path("")).unwrap();
        format!("{:?}", reader.status().unwrap())
    }

    /// Ends it, and gives its directory.
    async fn end(self) -> tempfile::TempDir {
        self.stop.cancel();
        drop(self.page);
        let exit = self.app.run(CancellationToken::new()).await;
        assert_eq!(exit, Exit::Drained);
        self.dir
    }
}

/// What is there without waiting.
fn at_once<T>(what: impl Future<Output = T>) -> Option<T> {
    use std::task::{Context, Poll, Waker};

    let mut what = std::pin::pin!(what);
    match what.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => Some(value),
        Poll::Pending => None,
    }
}

fn person(role: Role) -> Person {
    Person {
        role,
        ..Person::for_tests("ann")
    }
}

fn sent(fields: &[(&str, &str)]) -> Sent {
    let fields = fields.iter();
    Form(
        fields
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect(),
    )
}

/// Status, where to, and the screen.
async fn seen(answer: Answer) -> (u16, String, String) {
    let answer = answer.unwrap_or_else(|failed| panic!("{failed:?}"));
    let to = answer.headers().get("location");
    let to = to.map_or("", |to| to.to_str().unwrap()).to_owned();
    let status = answer.status().as_u16();
    let body = to_bytes(answer.into_body(), usize::MAX).await.unwrap();
    (status, to, String::from_utf8(body.to_vec()).unwrap())
}

const CMMS: [(&str, &str); 6] = [
    ("name", "cmms"),
    ("url", "http://127.0.0.1:9/in"),
    ("preset", "generic"),
    ("auth_type", "bearer"),
    ("auth_secret", CANARY),
    ("more", "timeout = \"1s\"\n"),
];

#[tokio::test]
async fn a_destination_that_is_saved_is_taken_at_the_next_start_and_its_secret_never_comes_back() {
    let relay = Relay::start(&[]).await;
    let (page, ann) = relay.ask();
    let (status, to, _) = seen(add(page, ann, sent(&CMMS)).await).await;
    assert_eq!((status, &*to), (303, "/setup/destinations/cmms"));
    assert!(relay.is_applied());
    assert!(!relay.saved("relay.toml").contains(CANARY));
    assert_eq!(relay.saved("secrets/cmms.auth-token.1").trim(), CANARY);
    let relay = Relay::start_in(relay.end().await, &[]).await;
    let (page, Configure(ann)) = relay.ask();
    let asked = Query(Asked {
        event: "sample".into(),
    });
    let shown = one(page, See(ann.clone()), Path("cmms".into()), asked).await;
    let (status, _, shown) = seen(shown).await;
    assert_eq!(status, 200);
    assert!(shown.contains("would be sent"), "{shown}");
    assert!(
        shown.contains("authorization: ***") || shown.contains("Authorization: ***"),
        "{shown}"
    );
    assert!(shown.contains("saved on the page"), "{shown}");
    let exported = change::export(&relay.page).await.unwrap();
    let view = view::destinations(&relay.page).await.unwrap();
    let told = format!("{shown}{exported}{}", serde_json::to_string(&view).unwrap());
    assert!(
        !told.contains(CANARY) && !relay.acts().contains(CANARY),
        "{told}"
    );
    let kept = &view.destinations[0].keys.as_ref().unwrap()["auth"]["token"];
    assert_eq!(*kept, json!({ "kept": true }));
    // Sent back as it is, nothing is another.
    let same: Vec<_> = CMMS
        .iter()
        .filter(|(name, _)| *name != "auth_secret")
        .copied()
        .collect();
    let (page, ann) = relay.ask();
    let changed = change_one(page, ann, Path("cmms".into()), sent(&same)).await;
    assert_eq!(seen(changed).await.0, 303);
    assert!(!relay.is_applied());
    let (page, ann) = relay.ask();
    let removed = remove(page, ann, Path("cmms".into()), sent(&[])).await;
    assert_eq!(seen(removed).await.0, 303);
    assert!(relay.is_applied() && relay.saved("secrets/cmms.auth-token.1").is_empty());
    relay.end().await;
}

#[tokio::test]
async fn what_is_refused_is_shown_at_its_field_without_its_secret_and_nothing_is_written() {
    let relay = Relay::start(&[]).await;
    for (field, value) in [
        ("url", "nowhere"),
        ("name", "C M M S"),
        ("auth_secret", "canary-51b7\nx"),
        ("more", "timeout = \"1ns\"\n"),
        ("more", "timeout = "),
    ] {
        let mut fields = CMMS.to_vec();
        fields.retain(|(name, _)| *name != field);
        fields.push((field, value));
        let (page, ann) = relay.ask();
        let (status, _, screen) = seen(add(page, ann, sent(&fields)).await).await;
        assert_eq!(status, 422, "{field}");
        let error = format!("id=\"f-{field}-error\"");
        assert!(screen.contains(&error), "{field}: {screen}");
        assert!(!screen.contains(CANARY), "{field}: {screen}");
    }
    let (page, ann) = relay.ask();
    let fields = sent(&[("name", "i"), ("url", "http://a/"), ("preset", "ignition")]);
    let (status, _, screen) = seen(add(page, ann, fields).await).await;
    assert_eq!(status, 422);
    assert!(screen.contains("f-settings-project-error"), "{screen}");
    assert!(!relay.is_applied());
    let left = std::fs::read_dir(relay.path("page/secrets"));
    assert_eq!(left.into_iter().flatten().count(), 0);
    assert_eq!(relay.saved("relay.toml"), "");
    relay.end().await;
}

#[tokio::test]
async fn what_the_environment_sets_is_shown_locked_and_cannot_be_changed() {
    let relay = Relay::start(&[("ORBIT_HOSTNAME", "127.0.0.1:9")]).await;
    let (State(page), Configure(ann)) = relay.ask();
    let screen = orbit_screen(&page, &ann, &[]).await.unwrap().into_string();
    let field = "value=\"127.0.0.1:9\" disabled";
    assert!(
        screen.contains(field) && screen.contains("set by ORBIT_HOSTNAME"),
        "{screen}"
    );
    let values = vec![("hostname".to_owned(), Some("other".to_owned()))];
    let refused = change::settings(&page, By::name("ann"), values)
        .await
        .unwrap_err();
    assert!(
        matches!(&refused, NotSaved::Refused(faults) if faults[0].what.contains("ORBIT_HOSTNAME"))
    );
    let (page, ann) = relay.ask();
    let fields = [
        ("api-token", CANARY),
        ("verify", "false"),
        ("page-orbit", ""),
    ];
    let (status, to, _) = seen(save_orbit(page, ann, sent(&fields)).await).await;
    assert_eq!((status, &*to), (303, "/setup/orbit"));
    let dotenv = relay.saved(".env");
    assert!(
        dotenv.contains("ORBIT_VERIFY=\"false\"") && !dotenv.contains(CANARY),
        "{dotenv}"
    );
    let (State(page), Configure(ann)) = relay.ask();
    let screen = orbit_screen(&page, &ann, &[]).await.unwrap().into_string();
    assert!(
        screen.contains("One is saved") && !screen.contains(CANARY),
        "{screen}"
    );
    let settings = serde_json::to_string(&view::settings(&page).await.unwrap()).unwrap();
    assert!(!settings.contains(CANARY));
    drop(page);
    relay.end().await;
}

#[tokio::test]
async fn a_certificate_is_pinned_by_the_hash_that_is_shown() {
    let relay = Relay::start(&[]).await;
    let hash = "ab".repeat(32);
    let (page, ann) = relay.ask();
    let pinned = pin(page, ann, sent(&[("sha256", &hash)])).await;
    assert_eq!(seen(pinned).await.0, 303);
    let expected = format!("ORBIT_VERIFY=\"sha256:{hash}\"");
    assert!(relay.saved(".env").contains(&expected));
    let (page, ann) = relay.ask();
    let refused = pin(page, ann, sent(&[("sha256", "nonsense")])).await;
    let (status, _, screen) = seen(refused).await;
    assert_eq!(status, 422);
    assert!(screen.contains("f-verify-error"), "{screen}");
    relay.end().await;
}

#[tokio::test]
async fn an_import_asks_for_the_secrets_that_it_names_and_then_counts() {
    let relay = Relay::start(&[]).await;
    let text = "version = 1\n[settings]\nmax-age = \"1m\"\n[[destination]]\nname = \"cmms\"\n\
                url = \"http://127.0.0.1:9/\"\n[destination.auth]\ntype = \"bearer\"\n\
                token = { kept = true }\n";
    let (page, ann) = relay.ask();
    let (status, _, screen) = seen(import(page, ann, sent(&[("text", text)])).await).await;
    assert_eq!(status, 200);
    assert!(
        screen.contains("name=\"secret:cmms: auth.token\""),
        "{screen}"
    );
    assert!(!relay.is_applied());
    let (page, ann) = relay.ask();
    let fields = sent(&[("text", text), ("secret:cmms: auth.token", CANARY)]);
    let (status, to, _) = seen(import(page, ann, fields).await).await;
    assert_eq!((status, &*to), (303, "/setup"));
    assert!(relay.is_applied() && relay.saved(".env").contains("MAX_AGE=\"1m\""));
    relay.end().await;
}

#[tokio::test]
async fn who_may_only_look_sees_all_screens_and_no_form_that_changes() {
    let relay = Relay::start(&[("INTEGRATION_URL", "http://127.0.0.1:9/")]).await;
    let bob = || See(person(Role::See));
    let page = || State(Arc::clone(&relay.page));
    let asked = || {
        Query(Asked {
            event: String::new(),
        })
    };
    for answer in [
        overview(page(), bob()).await,
        orbit(page(), bob()).await,
        webhook(page(), bob()).await,
        destinations(page(), bob()).await,
        one(page(), bob(), Path("integration".into()), asked()).await,
    ] {
        let (status, _, screen) = seen(answer).await;
        assert_eq!(status, 200);
        let posts: Vec<_> = screen.match_indices("method=\"post\" action=\"").collect();
        for (at, found) in posts {
            let action = &screen[at + found.len()..];
            assert!(action.starts_with("/setup/look"), "{}", &action[..40]);
        }
    }
    let missing = one(page(), bob(), Path("nothing".into()), asked()).await;
    assert_eq!(missing.unwrap_err().status, 404);
    relay.end().await;
}

#[test]
fn texts_from_outside_are_shown_as_text() {
    let hostile = "<script>alert(1)</script>\"'\u{202e}🦀";
    let mut draft = Draft::new("generic");
    draft.name = hostile.to_owned();
    draft.url = hostile.to_owned();
    draft.more = hostile.to_owned();
    let wrong = [
        Wrong {
            field: "url".to_owned(),
            what: hostile.repeat(500),
        },
        Wrong {
            field: String::new(),
            what: hostile.to_owned(),
        },
    ];
    let ann = person(Role::Configure);
    for screen in [
        destination::add(&ann, &draft, hostile, &wrong),
        html::import(&ann, (hostile, hostile), &[hostile.to_owned()], &wrong),
    ] {
        let screen = screen.into_string();
        assert!(!screen.contains("<script>alert"), "{screen}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_refused_at_its_field_and_nothing_is_saved() {
    let relay = Relay::start(&[]).await;
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (page, ann) = relay.ask();
    let saved = save_webhook(page, ann, sent(&[("webhook-port", &port)])).await;
    let (status, _, screen) = seen(saved).await;
    assert_eq!(status, 422);
    assert!(screen.contains("f-webhook-port-error"), "{screen}");
    assert!(screen.contains("cannot listen on 127.0.0.1:"), "{screen}");
    assert!(!relay.is_applied());
    assert_eq!(relay.saved(".env"), "");
    assert!(!relay.path("page/.env").exists());
    relay.end().await;
}

#[tokio::test]
async fn what_is_saved_is_taken_though_the_browser_goes_away() {
    let relay = Relay::start(&[]).await;
    // Somebody else saves just now, so that it has to wait.
    let place = relay.page.saving.0.lock().await;
    let (page, ann) = relay.ask();
    let mut asked = Box::pin(add(page, ann, sent(&CMMS)));
    assert!(at_once(asked.as_mut()).is_none());
    drop(asked);
    drop(place);
    let applied = relay.page.outside.apply.notified();
    let bound = std::time::Duration::from_secs(20);
    tokio::time::timeout(bound, applied).await.unwrap();
    assert!(relay.saved("relay.toml").contains("cmms"));
    relay.end().await;
}

#[tokio::test]
async fn a_save_that_fails_is_an_act_that_says_so() {
    let relay = Relay::start(&[]).await;
    // What is a folder cannot be replaced by a file.
    std::fs::create_dir_all(relay.path("page/.env.new/x")).unwrap();
    let values = vec![("max-age".to_owned(), Some("2m".to_owned()))];
    let failed = change::settings(&relay.page, By::name("ann"), values).await;
    assert!(matches!(failed, Err(NotSaved::Failed(_))), "{failed:?}");
    assert!(!relay.is_applied());
    let mut reader = Reader::open(&relay.path("")).unwrap();
    let acts = reader.acts_page(&crate::relay::journal::ActsPage {
        limit: 1,
        ..Default::default()
    });
    let act = acts.unwrap().remove(0);
    assert_eq!((&*act.what, &*act.who), ("configure failed", "ann"));
    assert!(act.detail.contains("cannot be written"), "{}", act.detail);
    relay.end().await;
}

/// The version that a screen's forms bring along.
fn seen_by(screen: &str) -> String {
    let (_, rest) = screen.split_once("name=\"seen\" value=\"").unwrap();
    rest.split('"').next().unwrap().to_owned()
}

#[tokio::test]
async fn what_somebody_else_saved_meanwhile_is_not_saved_over() {
    let relay = Relay::start(&[]).await;
    let (page, Configure(ann)) = relay.ask();
    let (_, _, screen) = seen(orbit(page, See(ann)).await).await;
    let version = seen_by(&screen);
    let mut fields = CMMS.to_vec();
    fields.push(("seen", &version));
    let (page, ann) = relay.ask();
    assert_eq!(seen(add(page, ann, sent(&fields)).await).await.0, 303);
    assert!(relay.is_applied());
    // Whoever still sees what was before changes nothing, whichever form it is.
    let saved = relay.saved("relay.toml");
    let old = |more: (&'static str, &'static str)| sent(&[more, ("seen", &version)]);
    let answers = [
        {
            let (page, ann) = relay.ask();
            save_orbit(page, ann, old(("hostname", "127.0.0.1:9"))).await
        },
        {
            let (page, ann) = relay.ask();
            save_webhook(page, ann, old(("webhook-port", "1"))).await
        },
        {
            let (page, ann) = relay.ask();
            pin(page, ann, old(("sha256", "ab"))).await
        },
        {
            let (page, ann) = relay.ask();
            change_one(page, ann, Path("cmms".into()), sent(&fields)).await
        },
        {
            let (page, ann) = relay.ask();
            remove(page, ann, Path("cmms".into()), old(("a", "b"))).await
        },
        {
            let (page, ann) = relay.ask();
            import(page, ann, old(("text", "version = 1\n"))).await
        },
    ];
    for answer in answers {
        let failed = answer.unwrap_err();
        assert_eq!(failed.status, 409, "{failed:?}");
        assert!(failed.what.contains("Somebody else"), "{failed:?}");
    }
    assert!(!relay.is_applied());
    assert_eq!(
        (relay.saved("relay.toml"), relay.saved(".env")),
        (saved, String::new())
    );
    // Whoever looks again may.
    let (page, Configure(ann)) = relay.ask();
    let (_, _, screen) = seen(orbit(page, See(ann)).await).await;
    let version = seen_by(&screen);
    let (page, ann) = relay.ask();
    let fields = sent(&[("hostname", "127.0.0.1:9"), ("seen", &version)]);
    assert_eq!(seen(save_orbit(page, ann, fields).await).await.0, 303);
    relay.end().await;
}

#[tokio::test]
async fn what_was_saved_and_cannot_be_read_is_named_on_setup_and_can_be_put_aside() {
    let relay = Relay::start(&[]).await;
    std::fs::create_dir_all(relay.path("page")).unwrap();
    std::fs::write(relay.path("page/.env"), "MAX_AGE=\"1m\"\nno line\n").unwrap();
    std::fs::write(relay.path("page/relay.toml"), "[[destination\n").unwrap();
    let (page, ann) = relay.ask();
    let failed = save_orbit(page, ann, sent(&[("hostname", "a")])).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.status, 503);
    assert!(failed.advice.contains("Setup"), "{failed:?}");
    let (page, Configure(ann)) = relay.ask();
    let (status, _, screen) = seen(overview(page, See(ann)).await).await;
    assert_eq!(status, 200);
    for said in ["page/.env", "line 2", "/setup/anew"] {
        assert!(screen.contains(said), "{said}: {screen}");
    }
    let (page, ann) = relay.ask();
    assert_eq!(seen(begin_anew(page, ann).await).await.0, 303);
    assert!(relay.is_applied());
    assert_eq!(relay.saved(".env.unusable.1"), "MAX_AGE=\"1m\"\nno line\n");
    assert_eq!(relay.saved("relay.toml.unusable.1"), "[[destination\n");
    let (page, ann) = relay.ask();
    let saved = save_orbit(page, ann, sent(&[("hostname", "127.0.0.1:9")])).await;
    assert_eq!(seen(saved).await.0, 303);
    // What can be read stays where it is.
    let (page, ann) = relay.ask();
    assert_eq!(seen(begin_anew(page, ann).await).await.0, 303);
    assert!(relay.saved(".env").contains("127.0.0.1:9"));
    relay.end().await;
}
