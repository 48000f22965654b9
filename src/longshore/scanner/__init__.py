"""What is in an image and what is known to be wrong with it: packages read out of layers, matched against a database of vulnerabilities.

Nothing here knows the store or the API. `seam.py` says what a scanner is asked; `builtin.py`, `trivy.py` and `grype.py` answer.
"""
