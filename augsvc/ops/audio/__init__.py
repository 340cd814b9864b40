"""Operations on sound; every `Operation` defined in a file of this folder is found by the registry."""
