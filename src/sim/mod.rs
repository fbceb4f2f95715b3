//! A FreeSWITCH stand-in for the demo, the tests and load.
