"""How traces are laid out, one module each. Imports `trace` and `experiments.files`."""
