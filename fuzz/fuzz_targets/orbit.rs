//! Orbit's scheme.
#![no_main]

use hmac::Mac as _;
use libfuzzer_sys::fuzz_target;
use orbit_relay_fuzz::relay::verify::Headers;
use orbit_relay_fuzz::relay::verify::orbit::{HEADER, Signature};
use orbit_relay_fuzz::secret::WebhookSecret;
use orbit_relay_fuzz::{NOW_S, WINDOW, changed, now, request};

fn accepts(headers: &Headers<'_>, body: &[u8], secret: &WebhookSecret) -> bool {
    Signature::read(headers.all(HEADER))
        .is_ok_and(|signature| signature.verify(body, secret, now(), WINDOW).is_ok())
}

fuzz_target!(|input: &[u8]| {
    let (secret, other) = (
        WebhookSecret::from_bytes([0x0f; 32]),
        WebhookSecret::from_bytes([0x0e; 32]),
    );
    let (headers, body) = request(input);
    assert!(!accepts(&headers, body, &other), "the wrong secret");
    if accepts(&headers, body, &secret)
        && let Some(changed) = changed(body)
    {
        let again = accepts(&headers, &changed, &secret);
        assert!(!again, "another body under the same code");
    }

    let sent_at = format!("{}", NOW_S * 1000);
    let mut mac = secret.mac();
    mac.update(sent_at.as_bytes());
    mac.update(b".");
    mac.update(body);
    let code = hex::encode(mac.finalize().into_bytes());
    let header = format!("t={sent_at},v1={code}");
    let made = Headers(vec![(HEADER, header.as_bytes())]);
    assert!(accepts(&made, body, &secret), "refused what was signed");
    assert!(!accepts(&made, body, &other), "the wrong secret");
});
