//! Folding, tokens, phrase matching.
