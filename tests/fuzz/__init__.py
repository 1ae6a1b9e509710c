"""Hostile bytes: mutated records and commands through the Python and the Java decoders, which must agree.

`python -m tests.fuzz --help`. Three ways to find such bytes, all beginning with `tests/vectors`: a seeded mutator for
volume, which gives every case to both sides; atheris, which is led by coverage, for the Python decoders; Jazzer, the
same, for the Java ones.
"""
