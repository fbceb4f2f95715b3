//! Which number to show whom: always the same to one contact, none too often.

const DAY_MS: i64 = 24 * 3600 * 1000;

/// A number of the pool and what was shown of it within the latest 24 hours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CallerId {
    pub number: String,
    pub shown: u32,
    /// When the oldest of those calls started; unix milliseconds.
    pub oldest_ms: Option<i64>,
}

/// A campaign's numbers. An empty pool has nothing to say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CallerIds {
    pool: Vec<CallerId>,
    daily_cap: Option<u32>,
}

/// What a contact is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Shown {
    /// What the configuration says.
    Usual,
    Number(String),
    /// The number it knows has been shown often enough: not before this.
    Later(i64),
    /// Every number has been shown often enough.
    NoneLeft,
}

impl CallerIds {
    #[must_use]
    pub fn new(pool: Vec<CallerId>, daily_cap: Option<u32>) -> Self {
        Self { pool, daily_cap }
    }

    /// Chooses for a contact and counts it. `known`: the number it was shown before; where the pool no longer has it,
    /// it is shown another. Without a cap contacts are spread by their id, with one by what was shown least.
    pub fn choose(&mut self, contact: i64, known: Option<&str>) -> Shown {
        if self.pool.is_empty() {
            return Shown::Usual;
        }
        let known = known.and_then(|known| self.pool.iter().position(|id| id.number == known));
        let cap = self.daily_cap.unwrap_or(u32::MAX);
        let index = match (known, self.daily_cap) {
            (Some(index), _) if self.pool[index].shown >= cap => {
                return self.pool[index]
                    .oldest_ms
                    .map_or(Shown::NoneLeft, |oldest| Shown::Later(oldest.saturating_add(DAY_MS)));
            }
            (Some(index), _) => index,
            (None, None) => usize::try_from(contact.unsigned_abs()).unwrap_or_default() % self.pool.len(),
            (None, Some(_)) => {
                let least = (0..self.pool.len()).min_by_key(|index| self.pool[*index].shown);
                match least.filter(|index| self.pool[*index].shown < cap) {
                    Some(index) => index,
                    None => return Shown::NoneLeft,
                }
            }
        };
        self.pool[index].shown = self.pool[index].shown.saturating_add(1);
        Shown::Number(self.pool[index].number.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(shown: &[u32], cap: Option<u32>) -> CallerIds {
        let ids = shown.iter().enumerate().map(|(i, shown)| CallerId {
            number: format!("+3310000000{i}"),
            shown: *shown,
            oldest_ms: (*shown > 0).then_some(1000),
        });
        CallerIds::new(ids.collect(), cap)
    }

    fn number(i: usize) -> Shown {
        Shown::Number(format!("+3310000000{i}"))
    }

    #[test]
    fn a_contact_sees_the_number_it_knows() {
        let mut ids = pool(&[9, 0], None);
        assert_eq!(ids.choose(4, Some("+33100000000")), number(0));
        assert_eq!(ids.choose(4, Some("+33199999999")), number(0), "no longer in the pool");
        assert_eq!(ids.choose(5, None), number(1));
        assert_eq!(CallerIds::default().choose(5, None), Shown::Usual);
    }

    #[test]
    fn the_one_shown_least_is_next_and_none_beyond_its_cap() {
        let mut ids = pool(&[2, 0], Some(3));
        let shown: Vec<_> = (0..5).map(|contact| ids.choose(contact, None)).collect();
        assert_eq!(shown, [number(1), number(1), number(0), number(1), Shown::NoneLeft]);
        assert_eq!(ids.choose(9, Some("+33100000000")), Shown::Later(1000 + DAY_MS));
    }
}
