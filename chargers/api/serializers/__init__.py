"""Serializers of this app."""
