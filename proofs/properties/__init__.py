"""Families of claims beyond the basic four, each with its sweep of a grid. Imports `grids`."""
