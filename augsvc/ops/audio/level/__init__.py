"""Operations on the level of a clip."""
