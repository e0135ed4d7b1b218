"""A real libvirtd with real guests, each test in a host of its own."""
