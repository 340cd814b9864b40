"""`Client` and `Stream`: requests with retry and failover."""
