mod calls;
mod campaigns;
mod chaos;
mod cli;
mod crash;
mod deployment;
mod faults;
mod imports;
mod records;
mod shipped;
#[cfg(feature = "whisper")]
mod speech;
mod streams;
mod support;
mod webhooks;
#[cfg(feature = "whisper")]
mod whisper;
