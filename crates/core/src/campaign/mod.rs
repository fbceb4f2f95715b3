//! When to dial whom: a campaign's states, its pace, its rules and its retries.

mod caller_ids;
mod forecast;
mod hours;
mod ledger;
mod number;
mod pacer;
mod policy;
mod retry;
mod shares;
mod state;
mod throttle;
mod zones;

pub use caller_ids::{CallerId, CallerIds, Shown};
pub use forecast::{Waiting, done_at};
pub use hours::{Holiday, Hours, Opening, Window};
pub use ledger::{AbandonLimit, Brake, Tally};
pub use number::{NeverDialled, NumberError, dialable, e164};
pub use pacer::{Pace, Pacer};
pub use policy::{Limits, PastCall, Policy, PolicyError, Resting, Rule, Standing, hours_of};
pub use retry::{Retry, RetryTable};
pub use shares::{Demand, Shares};
pub use state::{CampaignState, Control, ControlRefused};
pub use throttle::Throttle;
pub use zones::zones_of;
