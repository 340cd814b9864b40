"""`RemoteDataLoader` and `AugmentingDataLoader`, and what they are made of."""
