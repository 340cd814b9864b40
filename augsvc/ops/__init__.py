"""Operations: what they are (base), what there are (registry), one operation or close family a file (image)."""
