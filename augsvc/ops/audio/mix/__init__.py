"""Operations that take clips of a dataset."""
