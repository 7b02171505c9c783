"""What whoever runs a service sees of it: its journal, its counters, its health endpoint."""
