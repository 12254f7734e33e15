//! A long series in few points, for a plot.
//!
//! # Invariants
//! - Pure. The least and the greatest value stay, and so do alerts while they are at most half of
//!   what may be shown; more of them are thinned like the rest.
//! - What is left stands in its order, and nothing is made up.

use std::collections::BTreeSet;

use jiff::Timestamp;

/// One point of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Point {
    /// When it was read.
    pub at: Timestamp,
    /// The number, where it is one.
    pub value: Option<f64>,
    /// The text, where it is no number.
    pub text: Option<String>,
    /// Whether its inspection found something.
    pub alert: bool,
    /// Its event's number.
    pub seq: i64,
}

/// At most so many points of these, or four.
pub(in crate::relay::journal) fn thinned(points: Vec<Point>, most: usize) -> Vec<Point> {
    let most = most.max(4);
    if points.len() <= most {
        return points;
    }
    let all: Vec<(usize, &Point)> = points.iter().enumerate().collect();
    let alerts: Vec<_> = all.iter().copied().filter(|(_, p)| p.alert).collect();
    let mut stays = extremes(&alerts, most / 2);
    let rest = extremes(&all, most - stays.len());
    stays.extend(rest);
    let points = points.into_iter().enumerate();
    points
        .filter(|(place, _)| stays.contains(place))
        .map(|(_, point)| point)
        .collect()
}

/// The places of at most `most` of these: of each of as many stretches the least and the greatest.
fn extremes(points: &[(usize, &Point)], most: usize) -> BTreeSet<usize> {
    if points.len() <= most {
        return points.iter().map(|(place, _)| *place).collect();
    }
    let stretches = (most / 2).max(1);
    let length = points.len().div_ceil(stretches);
    let mut stays = BTreeSet::new();
    for stretch in points.chunks(length) {
        let number = |(place, point): &(usize, &Point)| Some((*place, point.value?));
        let numbers = || stretch.iter().filter_map(number);
        let by = |a: &(usize, f64), b: &(usize, f64)| a.1.total_cmp(&b.1);
        let ends = [numbers().min_by(by), numbers().max_by(by)];
        stays.extend(ends.iter().flatten().map(|(place, _)| *place));
        // Where there are texts alone, the first stands for them.
        if ends == [None, None] {
            stays.extend(stretch.first().map(|(place, _)| *place));
        }
    }
    stays
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn point(n: usize, value: Option<f64>, alert: bool) -> Point {
        let seq = i64::try_from(n).unwrap();
        Point {
            at: Timestamp::from_second(seq).unwrap(),
            value,
            text: value.is_none().then(|| "open".to_owned()),
            alert,
            seq,
        }
    }

    fn points() -> impl Strategy<Value = Vec<Point>> {
        let value = prop_oneof![4 => (-9.0..9.0).prop_map(Some), 1 => Just(None)];
        let one = (value, prop::bool::weighted(0.1));
        prop::collection::vec(one, 0..300).prop_map(|all| {
            let all = all.into_iter().enumerate();
            all.map(|(n, (value, alert))| point(n, value, alert))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn few_points_keep_the_extremes_and_the_alerts(all in points(), most in 0_usize..80) {
            let few = thinned(all.clone(), most);
            let most = most.max(4);
            prop_assert!(few.len() <= most);
            prop_assert!(few.is_sorted_by_key(|point| point.seq));
            prop_assert!(few.iter().all(|point| all.contains(point)));
            if all.len() <= most {
                prop_assert_eq!(&few, &all);
            }
            let ends = |points: &[Point]| {
                let mut values: Vec<f64> = points.iter().filter_map(|p| p.value).collect();
                values.sort_unstable_by(f64::total_cmp);
                (values.first().copied(), values.last().copied())
            };
            prop_assert_eq!(ends(&few), ends(&all));
            let alerts = |points: &[Point]| points.iter().filter(|p| p.alert).count();
            if alerts(&all) <= most / 2 {
                prop_assert_eq!(alerts(&few), alerts(&all));
            } else {
                prop_assert!(alerts(&few) > 0);
            }
        }
    }

    #[test]
    fn texts_are_thinned_too() {
        let texts: Vec<_> = (0..100).map(|n| point(n, None, false)).collect();
        let few: Vec<_> = thinned(texts, 10).iter().map(|point| point.seq).collect();
        assert_eq!(few, [0, 20, 40, 60, 80]);
    }
}
