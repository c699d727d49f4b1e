"""`asr-client bench`: how long words take with many streams at a time, and how many streams a server holds.

docs/latency.md defines what is measured. The load comes from few callbacks and ready-made frames instead of from
`client.connect`, so that a client on the server's machine takes little of what it measures; it says how much.
"""
