"""Operations that degrade an image as compression does."""
