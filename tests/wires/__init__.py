"""Wires that are no TAP on a bridge of Linux, in namespaces."""
