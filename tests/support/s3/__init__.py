"""A stand-in of S3 on the loopback: moto's server, in a folder of its own that `make test-slow` fills."""
