//! Pre-roll, endpointing, barge-in.
