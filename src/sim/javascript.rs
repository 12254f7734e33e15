//! Writes JSON as JavaScript does, and signs it as Orbit does.
//!
//! Orbit's bodies come out of a JavaScript engine: no spaces, text that is not ASCII as it is,
//! numbers as a double prints there. A check that only holds for another writer's bytes would
//! pass against a simulator that is kinder than Orbit, so the simulator is not.
//!
//! # Invariants
//! - Every number is a double, so an integer beyond 2^53 comes out rounded.
//! - What is not finite becomes `null`.
//! - The signature covers the time, a full stop and the body, byte for byte.

use std::io;

use hmac::Mac;
use serde::Serialize;
use serde_json::ser::Formatter;

use crate::secret::WebhookSecret;

/// The whole numbers that a double holds exactly lie between this and its negative.
const SAFE: u64 = 1 << 53;

/// Writes `value` in the bytes that JavaScript would give.
///
/// The order of members is that of the type; raw JSON passes through untouched.
pub fn stringify<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = Vec::new();
    value.serialize(&mut serde_json::Serializer::with_formatter(
        &mut bytes, JavaScript,
    ))?;
    Ok(bytes)
}

/// The value of the `Orbit-Signature` header for `body`, sent at `t_ms` (Unix milliseconds).
pub fn sign(secret: &WebhookSecret, t_ms: i64, body: &[u8]) -> String {
    let mut mac = secret.mac();
    mac.update(format!("{t_ms}.").as_bytes());
    mac.update(body);
    format!("t={t_ms},v1={}", hex::encode(mac.finalize().into_bytes()))
}

struct JavaScript;

impl Formatter for JavaScript {
    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f64) -> io::Result<()> {
        writer.write_all(ryu_js::Buffer::new().format_finite(value).as_bytes())
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: f32) -> io::Result<()> {
        self.write_f64(writer, f64::from(value))
    }

    fn write_u64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: u64) -> io::Result<()> {
        if value <= SAFE {
            return write!(writer, "{value}");
        }
        self.write_number_str(writer, &value.to_string())
    }

    fn write_i64<W: ?Sized + io::Write>(&mut self, writer: &mut W, value: i64) -> io::Result<()> {
        if value.unsigned_abs() <= SAFE {
            return write!(writer, "{value}");
        }
        self.write_number_str(writer, &value.to_string())
    }

    fn write_number_str<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        value: &str,
    ) -> io::Result<()> {
        match value.parse::<f64>() {
            Ok(number) if number.is_finite() => self.write_f64(writer, number),
            _ => writer.write_all(b"null"),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &impl Serialize) -> String {
        String::from_utf8(stringify(value).unwrap()).unwrap()
    }

    #[test]
    fn numbers_print_as_a_double_does_in_javascript() {
        for (number, expected) in [
            (55.0, "55"),
            (-0.0, "0"),
            (0.00005, "0.00005"),
            (0.000_000_1, "1e-7"),
            (1e21, "1e+21"),
            (1e20, "100000000000000000000"),
            (55.434_612_274_169_92, "55.43461227416992"),
            (9_007_199_254_740_992.0, "9007199254740992"),
            (f64::NAN, "null"),
        ] {
            assert_eq!(text(&number), expected);
        }
        assert_eq!(text(&9_007_199_254_740_993_u64), "9007199254740992");
        assert_eq!(text(&i64::MIN), "-9223372036854776000");
        assert_eq!(text(&-7), "-7");
    }

    #[test]
    fn text_stays_raw_and_nothing_is_spaced() {
        let value = json!({"b": [1, null, true], "a": "Kühlung \u{2028} 점검 \"50%\"\n\u{1}"});
        assert_eq!(
            text(&value),
            "{\"a\":\"Kühlung \u{2028} 점검 \\\"50%\\\"\\n\\u0001\",\"b\":[1,null,true]}"
        );
    }

    #[test]
    fn the_signature_is_the_hmac_of_time_and_body() {
        // Worked out apart with Python's hmac module.
        let secret = WebhookSecret::parse(&"0f".repeat(32)).unwrap();
        assert_eq!(
            sign(&secret, 1_770_110_047_118, "{\"a\":\"ü\"}".as_bytes()),
            "t=1770110047118,v1=f9ee5088f47ac1dc7cf3b8e9e74ddf4f296082be37b52db1085dcccc03368e9b"
        );
    }
}
