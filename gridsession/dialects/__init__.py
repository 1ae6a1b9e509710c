"""Other systems' session APIs over the same sessions, each in the module of its name."""
