"""`RemoteDataLoader`, `AugmentingDataLoader`, and their parts."""
