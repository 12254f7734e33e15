//! SAP, as the preset `sap-notification` asks it.
//!
//! # Invariants
//! - As in the parent.

use serde_json::{Value, json};

use super::{Got, PICTURE, Plant};
use crate::sim::systems::base::Trouble;
use crate::sim::systems::sap::Sap;

const SERVICE: &str = "/sap/opu/odata/sap/API_MAINTNOTIFICATION";
const ATTACHMENTS: &str = "/sap/opu/odata/sap/API_CV_ATTACHMENT_SRV/AttachmentContentSet";
const JSON: (&str, &str) = ("accept", "application/json");

/// A session: its token, and its cookies in one header.
struct Session {
    token: String,
    cookies: String,
}

impl Session {
    async fn begin(plant: &Plant<Sap>) -> Self {
        let path = format!("{SERVICE}/");
        let got = plant.get(&path, &[JSON, ("x-csrf-token", "Fetch")]).await;
        assert_eq!(got.status, 200);
        let cookies = got.headers.get_all("set-cookie").iter();
        let cookies: Vec<_> = cookies
            .map(|cookie| cookie.to_str().unwrap().split(';').next().unwrap())
            .collect();
        Self {
            token: got.header("x-csrf-token").to_owned(),
            cookies: cookies.join("; "),
        }
    }

    async fn create(&self, plant: &Plant<Sap>, body: &Value) -> Got {
        let headers = [
            JSON,
            ("x-csrf-token", &*self.token),
            ("cookie", &*self.cookies),
        ];
        let path = format!("{SERVICE}/MaintenanceNotification");
        plant.post(&path, &headers, body).await
    }

    async fn attach(&self, plant: &Plant<Sap>, more: &[(&str, &str)]) -> Got {
        let mut headers = vec![
            JSON,
            ("x-csrf-token", &*self.token),
            ("cookie", &*self.cookies),
        ];
        headers.extend(more);
        plant.picture(ATTACHMENTS, &headers).await
    }
}

fn body() -> Value {
    json!({
        "NotificationType": "M1", "NotificationText": "P-101 motor DE: 61.4 °C",
        "TechnicalObject": "PUMP-101", "TechObjIsEquipOrFuncnlLoc": "EAMS_EQUI",
        "MaintPriority": "2", "MalfunctionStartDate": "/Date(1770076800000)/",
        "MalfunctionStartTime": "PT09H25M00S", "MaintNotifExtReferenceNumber": "0123456789abcdef",
    })
}

fn with(name: &str, value: &Value) -> Value {
    let mut body = body();
    body[name] = value.clone();
    body
}

async fn start() -> Plant<Sap> {
    Plant::start(Sap::new(["PUMP-101"])).await
}

async fn find(plant: &Plant<Sap>, key: &str) -> Value {
    let filter = format!("$filter=MaintNotifExtReferenceNumber%20eq%20'{key}'");
    let path = format!("{SERVICE}/MaintenanceNotification?$format=json&$top=1&{filter}");
    let found = plant.get(&path, &[]).await;
    assert_eq!(found.status, 200);
    found.json()["d"]["results"].clone()
}

#[tokio::test]
async fn with_token_and_cookies_a_notification_is_made_and_gets_its_picture() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    let made = session.create(&plant, &body()).await;
    assert_eq!(made.status, 201);
    let number = made.json()["d"]["MaintenanceNotification"].clone();
    assert_eq!(number, "10000001");
    let headers = [
        ("slug", "ir.jpg"),
        ("businessobjecttypename", "BUS2038"),
        ("linkedsapobjectkey", "10000001"),
    ];
    assert_eq!(session.attach(&plant, &headers).await.status, 201);
    let made = plant
        .world()
        .with(|sap| sap.notifications.get("10000001").cloned());
    let made = made.unwrap();
    assert_eq!(made.text("TechnicalObject"), "PUMP-101");
    assert_eq!(made.attachments[0].bytes, PICTURE);
}

#[tokio::test]
async fn without_a_token_that_is_right_nothing_is_made_and_one_is_required() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    let no_cookies = Session {
        token: session.token.clone(),
        cookies: String::new(),
    };
    let wrong_token = Session {
        token: "old".to_owned(),
        cookies: session.cookies.clone(),
    };
    plant.world().with(Sap::expire_sessions);
    for refused in [no_cookies, wrong_token, session] {
        let got = refused.create(&plant, &body()).await;
        assert_eq!((got.status, got.header("x-csrf-token")), (403, "Required"));
    }
    assert_eq!(plant.world().with(|sap| sap.notifications.made()), 0);
    let anew = Session::begin(&plant).await;
    assert_eq!(anew.create(&plant, &body()).await.status, 201);
    assert_eq!(plant.world().with(|sap| sap.sessions_begun()), 2);
}

#[tokio::test]
async fn a_text_of_more_than_40_characters_is_refused() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    for (length, status) in [(40, 201), (41, 400)] {
        let text = json!("ü".repeat(length));
        let got = session
            .create(&plant, &with("NotificationText", &text))
            .await;
        assert_eq!(got.status, status, "{length}");
    }
}

#[tokio::test]
async fn dates_and_times_of_another_form_are_refused() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    for (name, value) in [
        ("MalfunctionStartDate", "2026-02-03T09:25:00Z"),
        ("MalfunctionStartDate", "/Date(x)/"),
        ("MalfunctionStartTime", "09:25:00"),
        ("MalfunctionStartTime", "PT9H25M"),
    ] {
        let got = session.create(&plant, &with(name, &json!(value))).await;
        assert_eq!(got.status, 400, "{name} {value}");
    }
}

#[tokio::test]
async fn what_the_service_does_not_know_is_refused() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    for (name, value) in [
        ("Robot", json!("spot-07")),
        ("MaintPriority", json!(2)),
        ("TechnicalObject", json!("PUMP-999")),
        ("TechObjIsEquipOrFuncnlLoc", json!("EAMS_FL")),
        ("NotificationType", json!("")),
        (
            "MaintNotifExtReferenceNumber",
            json!("0d5b7a52-0001-4c1e-9a10"),
        ),
    ] {
        let got = session.create(&plant, &with(name, &value)).await;
        assert_eq!(got.status, 400, "{name} {value}");
    }
}

#[tokio::test]
async fn a_lost_notification_is_found_by_its_number_in_upper_case_only() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    plant
        .world()
        .plan(1, "POST", "MaintenanceNotification", Trouble::LoseAnswer);
    let path = format!("{SERVICE}/MaintenanceNotification");
    let headers = [
        ("x-csrf-token", &*session.token),
        ("cookie", &*session.cookies),
    ];
    let lost = plant.request(reqwest::Method::POST, &path, &headers);
    assert!(lost.json(&body()).send().await.is_err());
    assert_eq!(find(&plant, "0123456789abcdef").await, json!([]));
    let found = find(&plant, "0123456789ABCDEF").await;
    assert_eq!(found[0]["MaintenanceNotification"], "10000001");
}

#[tokio::test]
async fn who_does_not_ask_for_json_gets_xml() {
    let plant = start().await;
    let path = format!("{SERVICE}/MaintenanceNotification");
    let got = plant.get(&path, &[]).await;
    assert_eq!(got.header("content-type"), "application/atom+xml");
}

#[tokio::test]
async fn an_attachment_for_nobody_is_refused() {
    let plant = start().await;
    let session = Session::begin(&plant).await;
    session.create(&plant, &body()).await;
    let right = [
        ("slug", "ir.jpg"),
        ("businessobjecttypename", "PMQMEL"),
        ("linkedsapobjectkey", "10000001"),
    ];
    for wrong in [
        ("linkedsapobjectkey", "10000009"),
        ("businessobjecttypename", "BUS2032"),
        ("slug", ""),
    ] {
        let headers = right.map(|given| if given.0 == wrong.0 { wrong } else { given });
        let got = session.attach(&plant, &headers).await;
        assert_eq!(got.status, 400, "{wrong:?}");
    }
    assert_eq!(session.attach(&plant, &right).await.status, 201);
}

#[tokio::test]
async fn a_completed_notification_is_seen_by_the_poll() {
    let plant = start().await;
    Session::begin(&plant).await.create(&plant, &body()).await;
    let path = format!("{SERVICE}/MaintenanceNotification('10000001')?$format=json");
    let open = plant.get(&path, &[]).await.json();
    assert_eq!(open["d"]["NotifProcessingPhase"], "1");
    assert!(plant.world().with(|sap| sap.complete("10000001")));
    let done = plant.get(&path, &[]).await.json();
    assert_eq!(done["d"]["NotifProcessingPhase"], "4");
}
