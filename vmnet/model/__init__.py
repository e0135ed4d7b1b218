"""Nouns: frozen values and the rules about them. No file, socket, clock or environment."""
