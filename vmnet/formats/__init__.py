"""Foreign text: what QEMU, sh and the configuration file read or write. Pure."""
