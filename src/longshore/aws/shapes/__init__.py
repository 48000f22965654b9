"""The shapes of the AWS APIs served, one generated module each (tools/generate_shapes.py). Import them lazily: ec2 alone takes a while."""
