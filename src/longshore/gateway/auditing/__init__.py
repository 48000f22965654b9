"""Records of what is asked at the gateway: API calls, pulls and pushes, routes of our own, agents' sockets."""
