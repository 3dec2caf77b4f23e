"""Who asks what of whom, and one run of it under one policy. Imports `data`."""
