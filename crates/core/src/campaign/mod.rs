//! When to dial whom: a campaign's states, its pace and its retries.

mod pacer;
mod retry;
mod state;

pub use pacer::{Pace, Pacer};
pub use retry::{Retry, RetryTable};
pub use state::{CampaignState, Control, ControlRefused};
