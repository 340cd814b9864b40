"""Operations that add weather, light and shade."""
