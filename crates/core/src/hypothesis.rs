//! Which prefix of the partial hypotheses is stable.
