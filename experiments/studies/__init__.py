"""Questions, one module or folder each: demo, calibration, matrix, the paper's verdicts. Imports `results`."""
