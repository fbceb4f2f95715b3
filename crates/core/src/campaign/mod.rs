//! When to dial whom: a campaign's states, its pace and its retries.

mod ledger;
mod number;
mod pacer;
mod retry;
mod state;
mod zones;

pub use ledger::{AbandonLimit, Brake, Tally};
pub use number::{NeverDialled, NumberError, dialable, e164};
pub use pacer::{Pace, Pacer};
pub use retry::{Retry, RetryTable};
pub use state::{CampaignState, Control, ControlRefused};
pub use zones::zones_of;
