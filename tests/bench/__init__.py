"""Bench: how fast the node is beside what else could do its work, and beside what the machine can do at all.

    python -m tests.bench [SCENARIO…] [--quick] [--engine E] [--against R…] [--json FILE] [--markdown]

It makes its own data (`corpus`), starts the node as an operator does (`targets.node`) and what it is compared
with, measures all of them in turns (`scenarios`), and says medians, spread, ratios and which goals are reached
(`goals`, `report`). Only ratios within one run tell something: absolute numbers wander with the machine.
"""
