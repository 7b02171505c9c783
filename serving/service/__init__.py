"""A service: its host, its sessions' processes, its limits, its health."""
