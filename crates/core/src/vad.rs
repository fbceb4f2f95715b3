//! Frame to speech or silence, with hangover.
