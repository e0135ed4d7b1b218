"""Real namespaces: results are checked with `ip` and `bridge`, not with vmnet."""
