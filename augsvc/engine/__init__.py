"""The threads that read and the one that owns the device, their fair queues, and the memory budget."""
