"""Floor 0: registry, spec grammar, errors, shared types. Imports no torch."""
