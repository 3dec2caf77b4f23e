"""What can be claimed of one outcome or one deviation, and by how much is it broken there? Imports `misreports`."""
