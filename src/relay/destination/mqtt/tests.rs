//! What is made of a broker's answers, good and bad. A real broker: `tests/mqtt`.

use proptest::prelude::*;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};

use super::*;

const TAKEN: [u8; 4] = [0x20, 2, 0, 0];

fn message(topic: &str, payload: &str) -> Message {
    Message {
        topic: topic.to_owned(),
        payload: payload.into(),
    }
}

/// The first packet, its type and length taken off.
async fn packet(broker: &mut DuplexStream) -> Vec<u8> {
    let mut head = [0; 2];
    broker.read_exact(&mut head).await.unwrap();
    let mut rest = vec![0; head[1].into()];
    broker.read_exact(&mut rest).await.unwrap();
    rest
}

/// Connects, then publishes; the broker says `first`, and then `then`.
async fn publish(first: &[u8], then: &[u8]) -> Result<(), LineError> {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let broker = async {
        packet(&mut theirs).await;
        theirs.write_all(first).await.unwrap();
        theirs.write_all(then).await.unwrap();
        theirs.shutdown().await.unwrap();
        let mut rest = Vec::new();
        theirs.read_to_end(&mut rest).await.unwrap();
    };
    let relay = async {
        let login = Login {
            user: "me",
            password: "pass",
        };
        let mut line = Line::open(Box::new(ours), "id", KEEP_ALIVE, Some(login)).await?;
        line.publish(&message("a", "x"), true).await
    };
    let (told, ()) = tokio::join!(relay, broker);
    told
}

#[tokio::test]
async fn only_the_acknowledgement_of_this_very_message_counts() {
    assert!(publish(&TAKEN, &[0x40, 2, 0, 1]).await.is_ok());
    assert!(
        publish(&TAKEN, &[0x40, 2, 0, 9, 0x40, 2, 0, 1])
            .await
            .is_ok()
    );
    let error = publish(&TAKEN, &[0x40, 2, 0, 9]).await.unwrap_err();
    assert!(matches!(error, LineError::Closed), "{error}");
    let error = publish(&TAKEN, &[]).await.unwrap_err();
    assert!(matches!(error, LineError::Closed), "{error}");
}

#[tokio::test]
async fn codes_4_and_5_refuse_the_credentials_and_the_others_put_off() {
    let config = Config::new("plant", "mqtt://broker.example".parse().unwrap());
    for code in 1..=6 {
        let error = publish(&[0x20, 2, 0, code], &[]).await.unwrap_err();
        let outcome = outcome(&config, error);
        assert_eq!(
            outcome.refuses_credentials(),
            [4, 5].contains(&code),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn what_is_no_acknowledgement_is_refused() {
    for first in [
        &b"HTTP/1.1 400 Bad Request\r\n\r\n"[..],
        &[0x30, 3, 0, 1, b'a'],
        &[0x20, 0],
        &[0x20, 0xff, 0xff, 0xff, 0x7f],
        &[0x40, 2, 0, 1],
    ] {
        let error = publish(first, &[]).await.unwrap_err();
        assert!(matches!(error, LineError::NotMqtt(_)), "{first:?}: {error}");
    }
}

#[tokio::test]
async fn the_broker_is_told_who_publishes_what() {
    let (ours, mut theirs) = tokio::io::duplex(1024);
    let broker = async {
        let connect = packet(&mut theirs).await;
        theirs.write_all(&TAKEN).await.unwrap();
        assert_eq!(
            connect,
            b"\0\x04MQTT\x04\xc2\0\x3c\0\x02id\0\x02me\0\x04pass"
        );
        let publish = packet(&mut theirs).await;
        theirs.write_all(&[0x40, 2, 0, 1]).await.unwrap();
        assert_eq!(publish, b"\0\x03a/b\0\x01x");
    };
    let relay = async {
        let login = Login {
            user: "me",
            password: "pass",
        };
        let line = Line::open(Box::new(ours), "id", KEEP_ALIVE, Some(login)).await;
        let mut line = line.unwrap();
        line.publish(&message("a/b", "x"), false).await.unwrap();
    };
    tokio::join!(relay, broker);
}

#[test]
fn what_cannot_be_published_is_never_sent() {
    let why = |topic: &str, payload: &str| check(&message(topic, payload));
    assert_eq!(why("a/b", &"x".repeat(PAYLOAD_LIMIT)), Ok(()));
    let large = "x".repeat(PAYLOAD_LIMIT + 1);
    assert_eq!(why("a/b", &large), Err(NeverSent::Payload(large.len())));
    assert_eq!(why("", "x"), Err(NeverSent::NoTopic));
    assert_eq!(why(&"a".repeat(65_536), "x"), Err(NeverSent::LongTopic));
    for topic in ["a/+", "#", "a\0", "a\nb"] {
        assert_eq!(why(topic, "x"), Err(NeverSent::Topic(topic.to_owned())));
    }
}

#[test]
fn a_clients_id_is_its_destinations_and_chance() {
    let broker = Broker::new("cmms", [0, 1, 0xab, 0xff], false);
    assert_eq!(broker.client_id, "orbit-relay-cmms-0001abff");
}

proptest! {
    #[test]
    fn no_answer_is_too_odd_to_read(first: Vec<u8>, then: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        // What comes of it is told by the others; here, that something does.
        drop(runtime.block_on(publish(&first, &then)));
        drop(runtime.block_on(publish(&TAKEN, &then)));
    }
}
