"""Who answers this question right? Questions as vectors, and online models over them. Imports `errors`."""
