"""Referees."""
