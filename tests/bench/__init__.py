"""The benchmark: what the gateway costs, as ratios of pairs that run in turn on the same machine.

`python -m bench [SECTION …]` measures, with `tests` on the path; a section is a module with a `measure` of its own.
"""
