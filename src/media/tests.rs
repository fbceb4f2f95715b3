mod sockets;
mod units;
