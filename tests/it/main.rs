mod calls;
mod deployment;
mod support;
#[cfg(feature = "whisper")]
mod whisper;
