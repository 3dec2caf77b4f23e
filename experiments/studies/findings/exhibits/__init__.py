"""What is the answer to a question? A table with intervals, a plot, a picture, and what it does not show.

| module | question |
|---|---|
| `exhibit` | the answer itself |
| `of_study` | which exhibit is a study's result? |
| `view` | which columns does a block of a picture show, and where is each row? |
| `views` | what do pictures of shipped studies show? |
| `pictured` | the picture |

Imports `study` for its results, and `reports`.
"""
