"""Intake: the one door in. Records become incidents; what peers offer is received."""
