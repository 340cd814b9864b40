"""Operations that add noise."""
