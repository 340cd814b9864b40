"""Operations that mix a sample with another of the dataset."""
