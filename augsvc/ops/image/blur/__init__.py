"""Operations that blur or sharpen."""
