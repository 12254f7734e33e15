//! UP42's scheme, where the body must be signed. Where it need not be, a code says nothing of it.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orbit_relay_fuzz::relay::verify::Scheme;
use orbit_relay_fuzz::signed;

fuzz_target!(|input: &[u8]| {
    let scheme = Scheme::Up42 {
        body_unsigned: false,
    };
    signed(&scheme, input);
});
