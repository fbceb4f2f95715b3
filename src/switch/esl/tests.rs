mod adapter;
mod commands;
mod events;
mod fake;
