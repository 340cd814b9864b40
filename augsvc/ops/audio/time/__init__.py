"""Operations that move a clip in time."""
