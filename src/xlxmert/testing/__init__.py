"""Tiny models and fixtures for tests, here and elsewhere; imported by tests only."""
