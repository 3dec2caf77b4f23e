"""How tables of answers are laid out, one module each. Imports `table` and `experiments.files`."""
