"""What is a request, from its arrival to its answer? Imports nothing else of the rounds.

| module | question |
|---|---|
| `relay` | what is an engine sent, and how does its answer reach who asked? |
| `admission` | who is refused before they meet anybody else? |
| `waiting` | what is a request until it is answered, and its place with an agent? |
"""
