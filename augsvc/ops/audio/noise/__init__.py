"""Operations that add noise to a clip."""
