"""Routers that learn from a table which model answers which question well, after their papers. Imports `answers`.

Order: `router` < `references`, `nearest`, `logistic`, `factors`, `contrastive`, `graph`, `users`;
`minilm` < `embedding`; `policy` imports `router` and `embedding`. Torch is imported where `graph` and `users` are
fitted, and nowhere else.
"""
