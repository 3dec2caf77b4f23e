"""The same grid under every tie-break. Imports `grids`, `properties`."""
