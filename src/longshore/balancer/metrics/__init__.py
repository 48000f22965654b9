"""CloudWatch's metrics of load balancers, once a minute, and Prometheus's whenever it asks.

`counters.py` reads HAProxy's counters and finds what has been counted since the last look, whichever of its workers did it;
`calculate.py` makes metrics of that, of targets' health and of what log lines say (access_log/tally.py); `collector.py` is the loop
that looks, and hands everything to the metric store; `prometheus.py` writes the same down for whoever scrapes.
"""
