"""Operations on sound, one file each; the registry finds them."""
