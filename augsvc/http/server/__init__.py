"""uvicorn with bounds and a drain, and its listening sockets."""
