"""Over which markets and reports does a claim speak? Profile arithmetic is here. Imports `misreports`, `subject`."""
