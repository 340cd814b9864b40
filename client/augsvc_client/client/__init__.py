"""`Client` and `Stream`: requests to the service, with retry and failover."""
