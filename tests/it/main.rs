mod deployment;
#[cfg(feature = "whisper")]
mod whisper;
