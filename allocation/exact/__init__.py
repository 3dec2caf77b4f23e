"""Who serves whom at the greatest welfare, with the dual prices that prove it. Imports vocabulary and kernels."""
