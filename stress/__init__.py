"""An attack on the command line: what is tried, and how much of it ends right. `make stress` runs it.

It lies outside `tests/`, since it takes minutes, kills processes, mounts small disks where it may, and counts instead
of asserting: `make test` never collects it.
"""
