"""Operations on colours."""
