"""The farm under load and under faults."""
