"""What Linux and QEMU really do where vmnet leans on it; no import of vmnet in here."""
