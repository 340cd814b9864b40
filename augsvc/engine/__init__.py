"""The engine thread that owns the device, the fair queue in front of it, and the memory budget."""
