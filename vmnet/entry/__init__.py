"""Doors: one file per caller. Parse, call the service, say, exit; nothing else."""
