"""Targets: what is measured. Each can be filled past its own door, and then read and written through it."""
