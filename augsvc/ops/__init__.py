"""Operations: what one is, the registry, pipelines and presets."""
