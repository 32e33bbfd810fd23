"""The presets: one small YAML overlay an experiment; ``dynamics/`` holds the sets of dynamics."""
