//! Who may start how many calls where several campaigns want more than there is: by weight (stride scheduling,
//! Waldspurger and Weihl 1995).

use std::collections::BTreeMap;

/// What a campaign could start now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Demand {
    pub campaign: i64,
    pub weight: u32,
    pub wants: u32,
}

/// Remembers who had how much, so that shares hold over time and not only within one look.
#[derive(Debug, Clone, Default)]
pub struct Shares {
    /// What each had, divided by its weight.
    passes: BTreeMap<i64, f64>,
    /// The least of those who wanted something at the last look: nobody comes back with claims from the time when they
    /// wanted nothing.
    floor: f64,
}

impl Shares {
    /// Divides `room` starts; tell [`Self::started`] what came of them.
    #[must_use]
    pub fn divide(&mut self, room: u32, demands: &[Demand]) -> Vec<(i64, u32)> {
        let wanting: Vec<&Demand> = demands.iter().filter(|demand| demand.wants > 0).collect();
        for demand in &wanting {
            let pass = self.passes.entry(demand.campaign).or_insert(self.floor);
            *pass = pass.max(self.floor);
        }
        let least = wanting.iter().filter_map(|demand| self.passes.get(&demand.campaign)).copied();
        self.floor = least.min_by(f64::total_cmp).unwrap_or(self.floor);
        let pass_of = |demand: &Demand| self.passes.get(&demand.campaign).copied().unwrap_or_default();
        let mut open: Vec<(f64, &Demand, u32)> =
            wanting.iter().map(|demand| (pass_of(demand), *demand, 0)).collect();
        for _ in 0..room {
            let next = open
                .iter_mut()
                .filter(|(_, demand, given)| *given < demand.wants)
                .min_by(|a, b| a.0.total_cmp(&b.0));
            let Some((pass, demand, given)) = next else { break };
            *given += 1;
            *pass += stride(demand.weight);
        }
        open.into_iter().map(|(_, demand, given)| (demand.campaign, given)).filter(|(_, n)| *n > 0).collect()
    }

    /// A campaign started so many of what it was given.
    pub fn started(&mut self, campaign: i64, weight: u32, n: u32) {
        if let Some(pass) = self.passes.get_mut(&campaign) {
            *pass += stride(weight) * f64::from(n);
        }
    }
}

fn stride(weight: u32) -> f64 {
    1.0 / f64::from(weight.max(1))
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use proptest::prelude::*;

    use super::*;

    fn demand(campaign: i64, weight: u32, wants: u32) -> Demand {
        Demand { campaign, weight, wants }
    }

    fn look(shares: &mut Shares, room: u32, demands: &[Demand]) -> BTreeMap<i64, u32> {
        let given = shares.divide(room, demands);
        for (campaign, n) in &given {
            let weight = demands.iter().find(|demand| demand.campaign == *campaign).unwrap().weight;
            shares.started(*campaign, weight, *n);
        }
        given.into_iter().collect()
    }

    #[test]
    fn where_there_is_enough_everybody_has_what_they_want() {
        let given = look(&mut Shares::default(), 100, &[demand(1, 1, 5), demand(2, 9, 3), demand(3, 1, 0)]);
        assert_eq!(given, BTreeMap::from([(1, 5), (2, 3)]));
    }

    #[test]
    fn weights_hold_over_many_looks_of_one() {
        let mut shares = Shares::default();
        let total = RefCell::new(BTreeMap::<i64, u32>::new());
        for _ in 0..400 {
            for (campaign, n) in look(&mut shares, 1, &[demand(1, 1, 9), demand(2, 3, 9)]) {
                *total.borrow_mut().entry(campaign).or_default() += n;
            }
        }
        assert_eq!(total.into_inner(), BTreeMap::from([(1, 100), (2, 300)]));
    }

    #[test]
    fn nobody_saves_up_while_they_want_nothing() {
        let mut shares = Shares::default();
        let _ = look(&mut shares, 1, &[demand(1, 1, 1), demand(2, 1, 1)]);
        for _ in 0..100 {
            let _ = look(&mut shares, 1, &[demand(1, 1, 1)]);
        }
        let given = look(&mut shares, 10, &[demand(1, 1, 10), demand(2, 1, 10)]);
        assert!((4..=6).contains(&given[&1]) && (4..=6).contains(&given[&2]), "{given:?}");
    }

    proptest! {
        #[test]
        fn never_more_than_there_is_or_than_was_wanted(
            room in 0..50_u32,
            wants in prop::collection::vec((1..9_u32, 0..20_u32), 0..6),
        ) {
            let demands: Vec<_> =
                (1..).zip(&wants).map(|(campaign, (weight, wants))| demand(campaign, *weight, *wants)).collect();
            let given = Shares::default().divide(room, &demands);
            let total: u32 = given.iter().map(|(_, n)| n).sum();
            prop_assert_eq!(total, room.min(wants.iter().map(|(_, wants)| wants).sum()));
            for (campaign, n) in given {
                prop_assert!(n <= demands.iter().find(|demand| demand.campaign == campaign).unwrap().wants);
            }
        }
    }
}
