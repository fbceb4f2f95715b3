//! Everything wired together: `serve`.
