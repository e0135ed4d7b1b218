"""Other programs that change something when vmnet asks: libvirt, a QEMU monitor. A file each."""
