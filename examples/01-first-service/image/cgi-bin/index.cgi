#!/bin/sh
# Answers every path that ends in a slash: which service this is, and which of its containers.
printf 'Content-Type: application/json\r\nCache-Control: no-store\r\n\r\n'
printf '{"service": "%s", "container": "%s", "path": "%s"}\n' "$SERVICE" "$(hostname)" "$REQUEST_URI"
