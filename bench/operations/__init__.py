"""Services under load and under faults."""
