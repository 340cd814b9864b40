"""Operations that map the source to the canvas."""
