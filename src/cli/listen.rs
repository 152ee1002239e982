//! The listening socket.

use std::io;
use std::net::SocketAddr;

use tokio::net::{TcpListener, TcpSocket};

/// So many connections wait for a place in the kernel's queue. Of more than the queue holds each tries again after 1 s, then
/// after 2 s and so on, and a flood is back sooner than whoever waits for that; with tokio's 128 an Alertmanager would not
/// get through to be preferred. It takes a second or two to be through the whole queue (`http::places`).
const BACKLOG: u32 = 1024;

/// Listens on `address`.
pub(super) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A restart must not wait until the kernel has forgotten the connections of before.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}
