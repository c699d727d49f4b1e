"""The client of the service: installs and runs without TensorFlow.

From our other packages it imports only `server.wire`, which holds what both ends agree on.
"""
