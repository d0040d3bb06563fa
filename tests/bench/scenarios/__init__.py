"""Scenarios: what is done to the targets, by name. Each gives the figures of all targets, measured in turns."""
