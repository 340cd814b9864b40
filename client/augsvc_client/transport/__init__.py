"""Connections: addresses, HTTP over TCP and Unix sockets, buffers, deadlines."""
