"""HAProxy's configuration, made of a snapshot of what the load balancers are to be: everything in here is pure."""
