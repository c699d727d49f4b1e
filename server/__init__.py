"""The service around the recogniser.

`server.wire`, the protocol's messages and sample formats, is what clients and servers share: it does no I/O
and needs neither TensorFlow nor the recogniser.
"""
