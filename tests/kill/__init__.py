"""The kill matrix: every system call that matters, failed or made the last, from outside."""
