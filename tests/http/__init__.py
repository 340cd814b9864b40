"""The server as a process of its own, seen through real sockets."""
