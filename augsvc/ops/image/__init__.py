"""Operations on images, one file each; the registry finds them."""
