"""The speed promises, measured: see run.py."""
