"""The checker's parts: reading histories, and a judge for each kind of session. `tests.faults.checker` is its face."""
