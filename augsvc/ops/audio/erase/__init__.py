"""Operations that silence parts of a clip."""
