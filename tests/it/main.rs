mod calls;
mod campaigns;
mod chaos;
mod deployment;
mod faults;
mod streams;
mod support;
#[cfg(feature = "whisper")]
mod whisper;
