"""Tests, by tier: what each needs of the machine is what parts them (docs/DESIGN.md)."""
