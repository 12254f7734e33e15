//! A destination at an `mqtt://` or `mqtts://` URL.

use super::*;
use crate::relay::destination::Kind;

fn broker(keys: &str) -> String {
    format!("[[destination]]\nname = \"uns\"\nurl = \"mqtt://broker.example\"\n{keys}\n")
}

fn published(text: &str) -> (String, bool) {
    let config = load(text);
    match &config.destinations[0].destination.kind {
        Kind::Mqtt(mqtt) => (mqtt.topic.text(), mqtt.retain),
        Kind::Http => panic!("it is no broker"),
    }
}

#[test]
fn a_broker_has_a_topic_and_is_told_whether_to_retain() {
    let default = "orbit-relay/{{ asset.id or 'unmapped' }}/inspection".to_owned();
    assert_eq!(published(&broker("")), (default, false));
    let topic = "acme/{{asset.attributes.area}}/{{ item.name }}";
    let keys = format!("topic = \"{topic}\"\nretain = true\nfor_each = \"readings\"\nbody = {{}}");
    let shown = "acme/{{ asset.attributes.area }}/{{ item.name }}".to_owned();
    assert_eq!(published(&broker(&keys)), (shown, true));
    let user = broker("").replace("broker.example", "me:secret@broker.example:1884/");
    let config = load(&user);
    let destination = &config.destinations[0].destination;
    assert!(destination.auth.is_some());
    assert_eq!(destination.url.as_str(), "mqtt://broker.example:1884/");
}

#[test]
fn what_belongs_to_http_is_refused_at_a_broker_and_a_topic_at_http() {
    for keys in [
        "headers = { x = \"1\" }",
        "success = { status = [200] }",
        "proxy = \"http://proxy.example:1\"",
        "sign = { scheme = \"standard-webhooks\", secret = \"whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\" }",
        "on_closed = { secret = \"whsec_MDAwMDAwMDAwMDAwMDAwMDAwMDAwMDAw\" }",
        "while_open = \"create\"",
        "preset = \"upkeep\"\nsecrets = { email = \"e\", password = \"p\" }",
        "[[destination.step]]\nname = \"a\"",
        "auth = { type = \"bearer\", token = \"canary\" }",
        "images = \"attach\"",
        "topic = \"\"",
        "topic = \"a/+/b\"",
        "topic = \"a/#\"",
        "topic = \"{{ item.name }}\"",
        "topic = \"{{ nothing.name }}\"",
        "retain = \"yes\"",
    ] {
        let said = problems(&broker(keys));
        assert!(
            !said.is_empty() && !said.contains("canary"),
            "{keys}: {said}"
        );
    }
    for keys in ["topic = \"a\"", "retain = true"] {
        let said = of_destination(keys);
        assert!(said.contains("mqtt://"), "{said}");
    }
    for url in [
        "mqtt://",
        "mqtt:x",
        "mqtt://h/topic",
        "mqtt://h?x=canary",
        "mqtts://me:canary@",
    ] {
        let said = problems(&broker("").replace("mqtt://broker.example", url));
        assert!(said.contains("`url`") && !said.contains("canary"), "{said}");
    }
}
