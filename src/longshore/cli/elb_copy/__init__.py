"""`longshore elb-copy`: the Application or Network Load Balancer that does what a Classic one does."""
