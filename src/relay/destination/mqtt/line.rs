//! One connection to a broker: what is written, and what is waited for.
//!
//! # Invariants
//! - Nothing that a broker sends is larger than [`ANSWER_LIMIT`], and nothing is read that was not
//!   asked for: acknowledgements alone.
//! - No error holds user or password.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{ConnAck, Connect, ConnectReturnCode, Packet, PubAck, Publish};
use rumqttc::mqttbytes::{Error as PacketError, QoS};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{Message, PAYLOAD_LIMIT, TEXT_LIMIT};
use crate::http::{ExchangeError, Wire};

/// The answers that are waited for have four bytes.
const ANSWER_LIMIT: usize = 64;
/// What we write: a payload, a topic, and what stands around them.
const PACKET_LIMIT: usize = PAYLOAD_LIMIT + TEXT_LIMIT + 16;

/// Who the relay is.
#[derive(Clone, Copy)]
pub(super) struct Login<'a> {
    pub(super) user: &'a str,
    pub(super) password: &'a str,
}

/// A connection that the broker has taken.
pub(super) struct Line {
    wire: Wire,
    read: BytesMut,
    /// The number of the last message.
    number: u16,
}

/// Why a message was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub(super) enum LineError {
    #[error(transparent)]
    Unreached(#[from] ExchangeError),
    #[error("{0}")]
    Refused(Refusal),
    #[error("the broker has closed the connection before it acknowledged the message")]
    Closed,
    #[error("the connection to the broker broke: {0}")]
    Broken(#[from] std::io::Error),
    #[error("what came from there is no answer of an MQTT broker: {0}")]
    NotMqtt(String),
    #[error(
        "an MQTT destination takes `auth` of type \"basic\" or \"none\", of at most 65535 bytes"
    )]
    Auth,
}

/// What a broker says to a connection that it does not take.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the broker refuses the connection with return code {} ({})", self.number(), self.words())]
pub(super) struct Refusal(ConnectReturnCode);

impl Refusal {
    pub(super) fn is_of_credentials(self) -> bool {
        matches!(
            self.0,
            ConnectReturnCode::BadUserNamePassword | ConnectReturnCode::NotAuthorized
        )
    }

    fn number(self) -> u8 {
        match self.0 {
            ConnectReturnCode::Success => 0,
            ConnectReturnCode::RefusedProtocolVersion => 1,
            ConnectReturnCode::BadClientId => 2,
            ConnectReturnCode::ServiceUnavailable => 3,
            ConnectReturnCode::BadUserNamePassword => 4,
            ConnectReturnCode::NotAuthorized => 5,
        }
    }

    fn words(self) -> &'static str {
        match self.0 {
            ConnectReturnCode::Success => "accepted",
            ConnectReturnCode::RefusedProtocolVersion => "it does not speak MQTT 3.1.1",
            ConnectReturnCode::BadClientId => "it does not take the client's id",
            ConnectReturnCode::ServiceUnavailable => "it is not available",
            ConnectReturnCode::BadUserNamePassword => "bad user name or password",
            ConnectReturnCode::NotAuthorized => "not authorized",
        }
    }
}

impl From<PacketError> for LineError {
    fn from(error: PacketError) -> Self {
        Self::NotMqtt(error.to_string())
    }
}

impl Line {
    /// Asks the broker to take the connection.
    pub(super) async fn open(
        wire: Wire,
        client_id: &str,
        keep_alive: Duration,
        login: Option<Login<'_>>,
    ) -> Result<Self, LineError> {
        let mut connect = Connect::new(client_id);
        connect.keep_alive = u16::try_from(keep_alive.as_secs()).unwrap_or(u16::MAX);
        if let Some(Login { user, password }) = login {
            if user.len().max(password.len()) > TEXT_LIMIT {
                return Err(LineError::Auth);
            }
            connect.set_login(user, password);
        }
        let mut line = Self {
            wire,
            read: BytesMut::new(),
            number: 0,
        };
        line.write(&Packet::Connect(connect)).await?;
        match line.answer().await? {
            Packet::ConnAck(ConnAck {
                code: ConnectReturnCode::Success,
                ..
            }) => Ok(line),
            Packet::ConnAck(ConnAck { code, .. }) => Err(LineError::Refused(Refusal(code))),
            _ => Err(LineError::NotMqtt("it should be CONNACK".into())),
        }
    }

    /// Publishes with `QoS` 1, and waits until that is acknowledged.
    pub(super) async fn publish(
        &mut self,
        message: &Message,
        retain: bool,
    ) -> Result<(), LineError> {
        // 0 is no number.
        self.number = self.number.checked_add(1).unwrap_or(1);
        let mut publish = Publish::new(&message.topic, QoS::AtLeastOnce, &*message.payload);
        publish.pkid = self.number;
        publish.retain = retain;
        self.write(&Packet::Publish(publish)).await?;
        loop {
            if let Packet::PubAck(PubAck { pkid }) = self.answer().await?
                && pkid == self.number
            {
                return Ok(());
            }
        }
    }

    async fn write(&mut self, packet: &Packet) -> Result<(), LineError> {
        let mut bytes = BytesMut::new();
        packet.write(&mut bytes, PACKET_LIMIT)?;
        self.wire.write_all(&bytes).await?;
        self.wire.flush().await?;
        Ok(())
    }

    /// The next acknowledgement.
    async fn answer(&mut self) -> Result<Packet, LineError> {
        loop {
            match self.read.first().map(|first| first >> 4) {
                // CONNACK and PUBACK; all else is an answer to what was never asked.
                None | Some(2 | 4) => {}
                Some(kind) => {
                    let what = format!("it sent a packet of type {kind}");
                    return Err(LineError::NotMqtt(what));
                }
            }
            match Packet::read(&mut self.read, ANSWER_LIMIT) {
                Ok(packet) => return Ok(packet),
                Err(PacketError::InsufficientBytes(_)) => {}
                Err(error) => return Err(error.into()),
            }
            if self.wire.read_buf(&mut self.read).await? == 0 {
                return Err(LineError::Closed);
            }
        }
    }
}
