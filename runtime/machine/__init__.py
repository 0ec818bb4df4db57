"""What this machine has: processor, memory, disk, GPUs and libraries, as far as a process may use them."""
