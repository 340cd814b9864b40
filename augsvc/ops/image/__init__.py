"""Operations on images, one file each; the registry discovers them."""
