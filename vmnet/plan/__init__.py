"""Decisions: a wish and the observed host give a plan. Pure; nothing here touches the host."""
