"""Worker processes of the Python package: `python -m kiln.worker` is started by a kiln head."""
