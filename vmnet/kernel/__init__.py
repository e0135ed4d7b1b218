"""Hands: the only room that touches Linux. Knows links, TAPs and processes, not why."""
