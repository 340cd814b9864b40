"""Operations that filter a clip."""
