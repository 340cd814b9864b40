"""Operations that lower the quality of an image."""
