//! The whole relay, in this process and on real sockets, between a simulated Orbit and a
//! simulated plant.
//!
//! | module | what it holds the relay to |
//! |---|---|
//! | [`path`] | an inspection goes from Orbit to the plant |
//! | [`registration`] | our webhook in Orbit, in any weather |
//! | [`repair`] | what others do to it there, and what a person asks for |
//! | [`address`] | by which of several addresses Orbit calls |
//! | [`rotation`] | its secret, as it changes |
//! | [`signature`] | whose events are taken |
//! | [`limits`] | senders that send too much, too slowly or not to the end |
//! | [`https`] | the webhook port with TLS |
//! | [`pins`] | Orbit's certificate, pinned by its hash |
//! | [`receive`] | what is an event, and which of them is new |
//! | [`backfill`] | what the webhook missed is found in Orbit |
//! | [`clock`] | a clock that is wrong, Orbit's or ours |
//! | [`days`] | days of everything that goes wrong with an Orbit |
//! | [`deliver`] | what becomes of an event when the plant's system has trouble |
//! | [`engine`] | outages, circuits, pauses, rates, several destinations |
//! | [`line`] | deliveries that wait for one another |
//! | [`weather`] | a weekend in one run |
//! | [`destination`] | one post: answers, credentials, tokens, signatures |
//! | [`way`] | the way of a post: certificates, proxies, addresses |
//! | [`media`] | pictures: which file a `dataUrl` means, and who gets the token |
//! | [`enrich`] | what else Orbit knows, when it answers and when it does not |
//! | [`presets`] | what well-known systems are sent, end to end |
//! | [`ops`] | health, metrics, and that no secret is seen |
//! | [`journal`] | a data directory or journal that cannot be used, and then can |
//! | [`keep`] | how long and how much the journal keeps |
//! | [`orders`] | orders that are closed close their anomaly in Orbit |
//! | [`closed`] | a destination's system says that an order is closed |
//! | [`sources`] | other sources than Orbit: who may call, how often, and what is kept of it |
//! | [`tells`] | Orbit hears of closed orders, also where it cannot at first |
//! | [`work_orders`] | what Orbit's own work orders ask for |
//! | [`notices`] | who is told of what goes wrong |
//! | [`presets_cmms`] | the presets of chats, Kafka, Fiix, UpKeep, Limble and MaintainX likewise; what all presets send |
//! | [`world`], [`wire`] | the harness |

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "this is a test binary: to panic is to fail"
)]

mod address;
mod backfill;
mod check;
mod clock;
mod closed;
mod days;
mod deliver;
mod destination;
mod edges;
mod engine;
mod enrich;
mod https;
mod journal;
mod keep;
mod limits;
mod line;
mod media;
mod notices;
mod ops;
mod orders;
mod path;
mod pictures;
mod pins;
mod presets;
mod presets_cmms;
mod receive;
mod registration;
mod repair;
mod rotation;
mod signature;
mod sources;
mod tells;
mod way;
mod weather;
mod wire;
mod work_orders;
mod world;
