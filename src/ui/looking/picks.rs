//! Which records of the list are selected, by their places.

use crate::{as_of::ask::Chosen, ui::table::How};

/// What is selected.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Picks {
    /// Where a stretch begins that is selected with Shift.
    anchor: Option<u64>,
    /// From and to, in order and apart from each other.
    stretches: Vec<(u64, u64)>,
}

impl Picks {
    /// Whether a record is selected.
    pub(crate) fn has(&self, nth: u64) -> bool {
        // The last stretch that does not begin after it.
        let after = self.stretches.partition_point(|(from, _)| *from <= nth);
        after.checked_sub(1).and_then(|at| self.stretches.get(at)).is_some_and(|(_, to)| nth <= *to)
    }

    /// How many are.
    pub(crate) fn count(&self) -> u64 {
        self.stretches.iter().map(|(from, to)| to - from + 1).sum()
    }

    /// A record was selected.
    pub(crate) fn pick(&mut self, nth: u64, how: How) {
        match (how, self.anchor) {
            (How::UpTo, Some(anchor)) => self.stretches = vec![(anchor.min(nth), anchor.max(nth))],
            (How::Turned, _) => self.turn(nth),
            _ => (self.anchor, self.stretches) = (Some(nth), vec![(nth, nth)]),
        }
    }

    /// All of so many are selected.
    pub(crate) fn all(&mut self, records: u64) {
        self.stretches = records.checked_sub(1).map(|last| (0, last)).into_iter().collect();
    }

    /// Adds one, or takes it away.
    fn turn(&mut self, nth: u64) {
        self.anchor = Some(nth);
        if self.has(nth) {
            let without = |(from, to): (u64, u64)| match (from..=to).contains(&nth) {
                false => [Some((from, to)), None],
                true => [
                    nth.checked_sub(1).filter(|end| from <= *end).map(|end| (from, end)),
                    Some((nth + 1, to)).filter(|_| nth < to),
                ],
            };
            self.stretches = self.stretches.drain(..).flat_map(without).flatten().collect();
            return;
        }
        let at = self.stretches.partition_point(|(from, _)| *from < nth);
        self.stretches.insert(at, (nth, nth));
        // Those that touch each other become one.
        self.stretches.dedup_by(|next, before| {
            let touches = before.1 + 1 >= next.0;
            if touches {
                before.1 = before.1.max(next.1);
            }
            touches
        });
    }

    /// What is selected of the list with this number; `None` where nothing is.
    pub(crate) fn chosen(&self, of: u64) -> Option<Chosen> {
        (!self.stretches.is_empty()).then(|| Chosen { of, stretches: self.stretches.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picked(steps: &[(u64, How)]) -> Vec<(u64, u64)> {
        let mut picks = Picks::default();
        steps.iter().for_each(|(nth, how)| picks.pick(*nth, *how));
        let all: Vec<u64> = (0..30).filter(|nth| picks.has(*nth)).collect();
        let listed: Vec<u64> = picks.stretches.iter().flat_map(|(from, to)| *from..=*to).collect();
        assert_eq!((all.len() as u64, &all), (picks.count(), &listed), "{picks:?}");
        picks.stretches
    }

    #[test]
    fn records_are_selected_as_everywhere() {
        use How::{Alone, Turned, UpTo};
        assert_eq!(picked(&[(3, Alone), (7, Alone)]), [(7, 7)]);
        assert_eq!(picked(&[(3, Alone), (7, UpTo), (1, UpTo)]), [(1, 3)]);
        assert_eq!(picked(&[(3, Alone), (7, Turned), (5, Turned), (4, Turned)]), [(3, 5), (7, 7)]);
        assert_eq!(picked(&[(3, Alone), (5, Turned), (4, Turned)]), [(3, 5)]);
        assert_eq!(picked(&[(3, Alone), (9, UpTo), (5, Turned), (9, Turned), (3, Turned)]), [(4, 4), (6, 8)]);
        assert_eq!(picked(&[(0, Turned), (0, Turned)]), []);
        assert_eq!(picked(&[(2, Turned), (6, UpTo)]), [(2, 6)]);
        let mut picks = Picks::default();
        picks.all(4);
        assert_eq!((picks.count(), picks.has(3), picks.has(4)), (4, true, false));
        picks.all(0);
        assert_eq!(picks.chosen(1), None);
    }
}
