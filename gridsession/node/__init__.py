"""Runs a member of the grid: finds Java, writes the member's configuration, starts, watches and stops the JVM."""
