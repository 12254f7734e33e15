//! Whether answers that are events would go round: what one destination answers is posted to
//! another, whose answer is posted to the first.
//!
//! # Invariants
//! - Pure. Where there is a circle, one is found.

use std::collections::VecDeque;

/// Circles of answers, each told once, as the places of those in it. `goes_to` has for each place
/// those that take its answer, and answer themselves.
pub(super) fn circles(goes_to: &[Vec<usize>]) -> Vec<Vec<usize>> {
    let mut found: Vec<Vec<usize>> = Vec::new();
    for start in 0..goes_to.len() {
        if found.iter().any(|circle| circle.contains(&start)) {
            continue;
        }
        found.extend(shortest(goes_to, start));
    }
    found
}

/// The shortest way from a place back to it.
fn shortest(goes_to: &[Vec<usize>], start: usize) -> Option<Vec<usize>> {
    let next = |place: usize| goes_to.get(place).into_iter().flatten().copied();
    // By which way each place is reached first.
    let mut from = vec![None; goes_to.len()];
    let mut waiting = VecDeque::from([start]);
    while let Some(place) = waiting.pop_front() {
        for other in next(place) {
            if other == start {
                return Some(way(&from, start, place));
            }
            if let Some(unseen @ None) = from.get_mut(other) {
                *unseen = Some(place);
                waiting.push_back(other);
            }
        }
    }
    None
}

fn way(from: &[Option<usize>], start: usize, end: usize) -> Vec<usize> {
    let mut way = vec![end];
    let mut at = end;
    while at != start
        && let Some(Some(before)) = from.get(at)
    {
        at = *before;
        way.push(at);
    }
    way.reverse();
    way
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn each_circle_of_answers_is_found_and_what_ends_is_none() {
        for (goes_to, expected) in [
            (vec![], vec![]),
            (vec![vec![]], vec![]),
            (vec![vec![0]], vec![vec![0]]),
            (vec![vec![1], vec![]], vec![]),
            (vec![vec![1], vec![2], vec![]], vec![]),
            (vec![vec![1, 2], vec![3], vec![3], vec![]], vec![]),
            (vec![vec![1], vec![0]], vec![vec![0, 1]]),
            (vec![vec![1], vec![2], vec![0]], vec![vec![0, 1, 2]]),
            (vec![vec![1], vec![2], vec![3, 1], vec![]], vec![vec![1, 2]]),
            (vec![vec![0, 1], vec![0]], vec![vec![0], vec![1, 0]]),
            (
                vec![vec![1], vec![0], vec![3], vec![4], vec![2]],
                vec![vec![0, 1], vec![2, 3, 4]],
            ),
            (vec![vec![7]], vec![]),
        ] {
            assert_eq!(circles(&goes_to), expected, "{goes_to:?}");
        }
    }

    proptest! {
        #[test]
        fn a_circle_is_found_exactly_where_an_answer_goes_on_for_ever(
            goes_to in prop::collection::vec(prop::collection::vec(0usize..6, 0..3), 6),
        ) {
            // Whose answers all end: those that go only to such.
            let mut ends = [false; 6];
            for _ in 0..6 {
                for (place, others) in goes_to.iter().enumerate() {
                    ends[place] |= others.iter().all(|other| ends[*other]);
                }
            }
            let found = circles(&goes_to);
            prop_assert_eq!(found.is_empty(), ends.iter().all(|ends| *ends));
            for circle in found {
                let again = circle.iter().skip(1).chain(circle.first());
                for (place, next) in circle.iter().zip(again) {
                    prop_assert!(goes_to[*place].contains(next));
                }
            }
        }
    }
}
