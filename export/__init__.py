"""From checkpoint to bundle: model definitions, loading, exact simplification, tracing."""
