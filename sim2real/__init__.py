"""Train robot-arm policies under randomised dynamics, measure how they transfer, export them as files a robot can run.

Importing this package imports nothing heavy; see ``sim2real.cli`` for what a user runs and ``docs/architecture.md`` for
where things are.
"""

__version__ = "0.1.0"
