"""Tocsin: a node for sharing cyber incidents between parties who do not fully trust each other."""
