//! The scheme of servo's webhooks.
#![no_main]

use libfuzzer_sys::fuzz_target;
use orbit_relay_fuzz::relay::verify::Scheme;
use orbit_relay_fuzz::signed;

fuzz_target!(|input: &[u8]| signed(&Scheme::Servo, input));
