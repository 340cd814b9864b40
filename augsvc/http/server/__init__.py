"""uvicorn with bounds and a drain, and the sockets it listens on."""
