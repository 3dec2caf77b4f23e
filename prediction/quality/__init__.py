"""Who answers this question right? Questions as vectors, and online models over them. Imports `errors`.

Order: `embedding` < `experts` < `gate` < `per_question`.
"""
