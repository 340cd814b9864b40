"""Operations that lose what a codec loses."""
