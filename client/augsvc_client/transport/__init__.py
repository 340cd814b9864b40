"""HTTP over TCP and Unix sockets: addresses, connections, buffers, deadlines."""
