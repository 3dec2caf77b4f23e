"""How kernels are typed, compiled, announced and kept fresh. Imports nothing of ours."""
