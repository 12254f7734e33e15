//! Units of what robots read: temperatures and pressures.
//!
//! # Invariants
//! - Pure. A pair that is not known is an error that names both; nothing is guessed.
//! - What comes out has at most 12 significant digits: no 141.99999999999997.

/// What a unit measures, with what leads to the base: °C, Pa.
#[derive(Clone, Copy)]
enum Unit {
    Celsius,
    Fahrenheit,
    Kelvin,
    /// So many Pa.
    Pressure(f64),
}

fn unit(name: &str) -> Option<Unit> {
    Some(match name {
        "°C" | "C" | "degC" | "℃" => Unit::Celsius,
        "°F" | "F" | "degF" | "℉" => Unit::Fahrenheit,
        "K" => Unit::Kelvin,
        "Pa" => Unit::Pressure(1.0),
        "mbar" => Unit::Pressure(100.0),
        "kPa" => Unit::Pressure(1e3),
        "psi" => Unit::Pressure(6_894.757_293_168),
        "bar" => Unit::Pressure(1e5),
        "MPa" => Unit::Pressure(1e6),
        _ => return None,
    })
}

/// A number of one unit in another. A unit in itself is what it was, whatever it measures.
pub(super) fn convert(number: f64, from: &str, to: &str) -> Result<f64, String> {
    let (from, to) = (from.trim(), to.trim());
    if from == to {
        return Ok(number);
    }
    let converted = match unit(from).zip(unit(to)) {
        Some((Unit::Pressure(from), Unit::Pressure(to))) => number * from / to,
        Some((Unit::Pressure(_), _) | (_, Unit::Pressure(_))) | None => {
            let shown = |unit: &str| unit.chars().take(20).collect::<String>();
            return Err(format!(
                "no way is known from `{}` to `{}`",
                shown(from),
                shown(to)
            ));
        }
        Some((from, to)) => {
            let celsius = match from {
                Unit::Fahrenheit => (number - 32.0) * 5.0 / 9.0,
                Unit::Kelvin => number - 273.15,
                _ => number,
            };
            let there = match to {
                Unit::Fahrenheit => celsius * 9.0 / 5.0 + 32.0,
                Unit::Kelvin => celsius + 273.15,
                _ => celsius,
            };
            // Near zero a difference of large numbers has fewer digits that mean anything.
            (there * 1e9).round() / 1e9
        }
    };
    Ok(format!("{converted:.11e}").parse().unwrap_or(converted))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn units_are_converted_with_the_digits_that_mean_something() {
        for (number, from, to, expected) in [
            (61.4, "°C", "°F", 142.52),
            (142.0, "°F", "°C", 61.111_111_111),
            (61.1, "C", "F", 141.98),
            (32.0, "degF", "degC", 0.0),
            (-40.0, "°F", "°C", -40.0),
            (0.0, "°C", "K", 273.15),
            (273.16, "K", "℃", 0.01),
            (300.0, "K", "°F", 80.33),
            (1.0, "bar", "kPa", 100.0),
            (6.2, "bar", "psi", 89.923_397_441_2),
            (100.0, "psi", "bar", 6.894_757_293_17),
            (0.62, "MPa", "bar", 6.2),
            (1013.25, "mbar", "Pa", 101_325.0),
            (55.434_612_274_169_92, "dB", "dB", 55.434_612_274_169_92),
            (1.0, " mm/s ", "mm/s", 1.0),
        ] {
            let converted = convert(number, from, to).unwrap();
            assert!(
                (converted - expected).abs() == 0.0,
                "{number} {from} in {to}: {converted}"
            );
        }
    }

    #[test]
    fn a_pair_that_is_not_known_is_refused_with_both_names() {
        for (from, to) in [("dB", "°C"), ("bar", "°C"), ("K", "psi"), ("c", "f")] {
            let error = convert(1.0, from, to).unwrap_err();
            assert_eq!(error, format!("no way is known from `{from}` to `{to}`"));
        }
    }

    proptest! {
        #[test]
        fn there_and_back_is_near_what_it_was(number in -1e6..1e6_f64) {
            for (from, to) in [("°C", "°F"), ("K", "°F"), ("bar", "psi"), ("kPa", "mbar")] {
                let back = convert(convert(number, from, to).unwrap(), to, from).unwrap();
                prop_assert!((back - number).abs() <= 1e-5, "{number} {from} {to} {back}");
            }
        }
    }
}
