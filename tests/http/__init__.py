"""The server as a separate process, over real sockets."""
