//! Numbers that look random and are the same again for the same seed.
//!
//! # Invariants
//! - No state but the seed; nothing here is fit for a secret.

use uuid::Uuid;

/// A `SplitMix64` sequence.
#[derive(Clone, Debug)]
pub struct Random(u64);

impl Random {
    /// The sequence of `seed`.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; zero when `end` is zero.
    pub fn below(&mut self, end: u32) -> u32 {
        let scaled = (self.number() >> 32).wrapping_mul(u64::from(end)) >> 32;
        u32::try_from(scaled).unwrap_or(0)
    }

    /// One of `items`, or nothing when there are none.
    pub fn pick<'a, T>(&mut self, items: &'a [T]) -> Option<&'a T> {
        let end = u32::try_from(items.len()).unwrap_or(u32::MAX);
        items.get(usize::try_from(self.below(end)).ok()?)
    }

    /// A number from `low` to `high` in steps of `1 / per_unit`.
    pub fn between(&mut self, low: u32, high: u32, per_unit: u32) -> f64 {
        let steps = high.saturating_sub(low).saturating_mul(per_unit);
        let step = self.below(steps.saturating_add(1));
        (f64::from(low) * f64::from(per_unit) + f64::from(step)) / f64::from(per_unit)
    }

    /// A UUID of version 4.
    pub fn uuid(&mut self) -> String {
        let bits = (u128::from(self.number()) << 64) | u128::from(self.number());
        uuid::Builder::from_random_bytes(bits.to_be_bytes())
            .into_uuid()
            .as_hyphenated()
            .encode_lower(&mut Uuid::encode_buffer())
            .to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sequence_is_splitmix64() {
        let mut random = Random::new(1_234_567);
        // The published test vector of the algorithm.
        assert_eq!(random.number(), 6_457_827_717_110_365_317);
        assert_eq!(random.number(), 3_203_168_211_198_807_973);
    }

    #[test]
    fn a_number_stays_in_its_range() {
        let mut random = Random::new(3);
        for _ in 0..1_000 {
            assert!(random.below(6) < 6);
            let value = random.between(20, 30, 10);
            assert!((20.0..=30.0).contains(&value));
        }
        assert_eq!(random.below(0), 0);
        assert_eq!(random.pick::<u8>(&[]), None);
    }
}
