//! When to dial whom: a campaign's states, its pace and its retries.

mod number;
mod pacer;
mod retry;
mod state;

pub use number::mask;
pub use pacer::{Pace, Pacer};
pub use retry::{Retry, RetryTable};
pub use state::{CampaignState, Control, ControlRefused};
