"""Session APIs that bot developers know from other systems, over the same sessions: `jawce`, `bottender`, `toolbot`, `opengram`."""
