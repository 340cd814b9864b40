"""Operations on audio, one file each; the registry discovers them."""
