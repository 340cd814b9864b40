"""Operations: their interface, the registry, pipelines and presets."""
