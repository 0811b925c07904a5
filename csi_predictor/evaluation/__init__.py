"""Predictions to an evaluation record."""
