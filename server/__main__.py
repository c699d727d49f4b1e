"""`python -m server` is `asr-server`."""

from server.cli import main

main()
