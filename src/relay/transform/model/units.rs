//! Units: found at the end of a reading's name, and as people write them.
//!
//! # Invariants
//! - Only what is known as a unit is taken for one: `Level (max)` is a name.

/// What stands in brackets behind a name and is its unit. Case does not matter.
const KNOWN: [&str; 67] = [
    "%", "%lel", "%rh", "%vol", "vol%", "ppm", "ppb", "bar", "bara", "barg", "mbar", "pa", "hpa",
    "kpa", "mpa", "psi", "psia", "psig", "atm", "°c", "c", "degc", "°f", "f", "degf", "k", "db",
    "dba", "db(a)", "hz", "khz", "v", "mv", "kv", "a", "ma", "w", "kw", "mw", "kwh", "mm", "cm",
    "m", "km", "µm", "in", "inch", "ft", "l", "l/s", "l/min", "l/h", "m3", "m³", "m3/s", "m³/s",
    "m3/h", "m³/h", "gpm", "kg", "kg/h", "rpm", "1/min", "mm/s", "m/s", "mg/m3", "mg/m³",
];

/// Name and unit, where the name ends in a unit in brackets: `Reading (bar)`.
pub(super) fn split(name: &str) -> Option<(&str, &str)> {
    let inside = name.trim_end().strip_suffix(')')?;
    // The second is for a unit that has brackets of its own: `dB(A)`.
    let places = [inside.rsplit_once('('), inside.rsplit_once(" (")];
    places.into_iter().flatten().find_map(|(name, unit)| {
        let (name, unit) = (name.trim_end(), unit.trim());
        let known = KNOWN.contains(&unit.to_lowercase().as_str());
        (known && !name.is_empty()).then_some((name, unit))
    })
}

/// The unit as people write it.
pub(super) fn shown(unit: &str) -> &str {
    let unit = unit.trim();
    match unit.to_lowercase().as_str() {
        "c" | "degc" | "deg c" | "celsius" | "°c" => "°C",
        "f" | "degf" | "deg f" | "fahrenheit" | "°f" => "°F",
        "percent" | "pct" => "%",
        _ => unit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_known_unit_in_brackets_is_a_unit() {
        assert_eq!(split("Reading (bar)"), Some(("Reading", "bar")));
        assert_eq!(split("Level (dB(A))"), Some(("Level", "dB(A)")));
        assert_eq!(split("Oil (sump)(°C) "), Some(("Oil (sump)", "°C")));
        for name in [
            "Level (max)",
            "(bar)",
            "bar",
            "Reading (bar) old",
            "()",
            ")",
            "x (bar",
        ] {
            assert_eq!(split(name), None, "{name}");
        }
    }

    #[test]
    fn degrees_are_shown_as_degrees() {
        for (sent, written) in [
            ("C", "°C"),
            ("degC", "°C"),
            ("F", "°F"),
            ("K", "K"),
            ("m3/s", "m3/s"),
        ] {
            assert_eq!(shown(sent), written);
        }
    }
}
