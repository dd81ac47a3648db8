"""The fault bench: real processes, real faults, by seed; and what is left of every promise afterwards.

    PYTHONPATH=tests python -m faults --seed 1 --minutes 10

`stage` has the processes, `gelato` sends as Gelato does and keeps a journal of every attempt, `kinds` are the faults,
`director` injects them in an order that the seed decides, `checks` looks at what is left, `report` tells of it.
"""
