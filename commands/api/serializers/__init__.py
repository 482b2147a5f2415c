"""Serializers of tasks and related models in `commands`, of batches and schedules in `batches`."""
