//! What stands in the simulated plant, and who walks past it.
//!
//! # Invariants
//! - An action's name is unique, and belongs to one mission.
//! - [`asset_map_csv`] knows every action but [`UNMAPPED_ACTION`].

/// The one action that the asset map leaves out.
pub const UNMAPPED_ACTION: &str = "Sump level LG-4";

/// An asset map of this plant, with columns `action_name,asset_id,area,criticality`.
pub fn asset_map_csv() -> &'static str {
    include_str!("assets.csv")
}

/// Who walks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Robot {
    /// The name that people call it by.
    pub nickname: &'static str,
    /// Its address.
    pub hostname: &'static str,
    /// Its serial number.
    pub serial: &'static str,
}

/// What an action looks or listens for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Thermal,
    Leak,
    Sound,
    Gauge(&'static str),
    YesNo(&'static str),
}

#[derive(Debug)]
pub(super) struct Action {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    /// The asset that Orbit itself was told, which few plants do.
    pub(super) known_to_orbit: Option<&'static str>,
}

#[derive(Debug)]
pub(super) struct Mission {
    pub(super) name: &'static str,
    pub(super) robot: Robot,
    pub(super) actions: &'static [Action],
}

const fn action(name: &'static str, kind: Kind) -> Action {
    Action {
        name,
        kind,
        known_to_orbit: None,
    }
}

pub(super) const MISSIONS: &[Mission] = &[
    Mission {
        name: "Pump hall AM",
        robot: Robot {
            nickname: "spot-07",
            hostname: "10.8.4.7",
            serial: "spot-BD-00700001",
        },
        actions: &[
            action("P-101 motor DE", Kind::Thermal),
            action("P-101 motor NDE", Kind::Thermal),
            action("P-102 motor DE", Kind::Thermal),
            action("P-102 bearing NDE", Kind::Sound),
            action("P-103 bearing DE", Kind::Sound),
            Action {
                name: "Kühlung #3 / 점검 50%",
                kind: Kind::Leak,
                known_to_orbit: Some("AIR-HDR-42"),
            },
        ],
    },
    Mission {
        name: "Tank farm",
        robot: Robot {
            nickname: "spot-11",
            hostname: "10.8.4.11",
            serial: "spot-BD-01100001",
        },
        actions: &[
            action("PI-2203", Kind::Gauge("Reading (bar)")),
            action("TI-118 outlet", Kind::Gauge("Reading (C)")),
            action(UNMAPPED_ACTION, Kind::Gauge("Level (%)")),
        ],
    },
    Mission {
        name: "Perimeter",
        robot: Robot {
            nickname: "spot-12",
            hostname: "10.8.4.12",
            serial: "spot-BD-01200001",
        },
        actions: &[
            action("Transformer T2 bushing", Kind::Thermal),
            action("Door 7 closed?", Kind::YesNo("Is the door closed")),
            action("Fire extinguisher 12", Kind::YesNo("Is it in its place")),
        ],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn the_asset_map_knows_every_action_but_one() {
        let mapped: BTreeSet<_> = asset_map_csv()
            .lines()
            .skip(1)
            .filter_map(|line| line.split(',').next())
            .collect();
        let all: BTreeSet<_> = MISSIONS
            .iter()
            .flat_map(|mission| mission.actions)
            .map(|action| action.name)
            .collect();
        let missing: Vec<_> = all.difference(&mapped).copied().collect();
        assert_eq!(missing, [UNMAPPED_ACTION]);
        assert!(mapped.is_subset(&all));
    }
}
