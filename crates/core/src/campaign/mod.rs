//! When to dial whom.
