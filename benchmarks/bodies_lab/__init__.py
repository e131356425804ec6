"""Requests to score that nobody would send on purpose, shared by tests and the `scoring_bodies` benchmark."""
