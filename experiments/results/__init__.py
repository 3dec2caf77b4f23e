"""From what was served to figures. Imports `worlds`."""
