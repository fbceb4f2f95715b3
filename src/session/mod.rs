//! One task per call: the only place where a call meets its streams.
