//! The scheme that is configured, in a few forms that between them have all there is.
#![no_main]

use std::sync::LazyLock;

use libfuzzer_sys::fuzz_target;
use orbit_relay_fuzz::relay::verify::Scheme;
use orbit_relay_fuzz::relay::verify::scheme::{
    Encoding, Hash, HmacForm, KeyForm, Names, Piece, Unit,
};
use orbit_relay_fuzz::{names, signed};

static FORMS: LazyLock<[Scheme; 3]> = LazyLock::new(|| {
    let time = |unit| Some(("X-Time".to_owned(), unit));
    let text = |text: &str| Piece::Text(text.to_owned());
    let form = HmacForm {
        header: "X-Code".into(),
        prefix: "v1=".into(),
        hash: Hash::Sha256,
        code: Encoding::Hex,
        key: KeyForm::Text,
        timestamp: time(Unit::Seconds),
        signed: vec![Piece::Timestamp, text("."), Piece::Body],
        names: names(),
    };
    let topic = Piece::Header("X-Topic".into());
    let second = HmacForm {
        prefix: String::new(),
        hash: Hash::Sha512,
        code: Encoding::Base64,
        timestamp: time(Unit::Rfc3339),
        signed: vec![Piece::Id, topic, Piece::Timestamp, Piece::Body],
        ..form.clone()
    };
    let third = HmacForm {
        hash: Hash::Sha1,
        timestamp: None,
        signed: vec![Piece::Body, text("|"), Piece::Body],
        names: Names::default(),
        ..form.clone()
    };
    [form, second, third].map(|form| Scheme::Hmac(Box::new(form)))
});

fuzz_target!(|input: &[u8]| {
    for scheme in &*FORMS {
        signed(scheme, input);
    }
});
