"""Operations that cover parts of an image."""
