"""Figures for people: terminal, HTML, charts. Imports `results`; no study imports it."""
