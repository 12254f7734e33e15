//! The scheme of a static secret, in each of its forms.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orbit_relay_fuzz::relay::verify::Scheme;
use orbit_relay_fuzz::relay::verify::scheme::{Credential, TokenForm};
use orbit_relay_fuzz::{names, shown};

const SECRET: &str = "relay:fuzzed secret";
const OTHER: &str = "relay:another secret";
const IN_BASE64: &str = "cmVsYXk6ZnV6emVkIHNlY3JldA==";

fuzz_target!(|input: &[u8]| {
    for form in [
        Credential::Header("X-Key".into()),
        Credential::Bearer,
        Credential::Basic,
    ] {
        let names = names();
        let scheme = Scheme::Token(TokenForm { shown: form, names });
        shown(&scheme, SECRET, OTHER, &[SECRET, IN_BASE64], input);
    }
});
