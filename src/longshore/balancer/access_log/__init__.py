"""Access and connection logs, from HAProxy's lines to files as AWS writes them.

HAProxy appends a raw line per request to one file, the *spool* (render/access_log.py says how a line looks): no program has to be
there to take it, so none is lost when one is slow, or killed. A process of its own (`reader.py`), as nice as can be, follows the
spool, makes AWS's lines of it (`formats.py`), files of those (`layout.py`) and counts for metrics (`tally.py`), and gives back to
the file system what it has dealt with. Each line names the *legend* (`legend.py`) that it was written under: what the listener,
its rules and its target groups were at that moment.
"""
