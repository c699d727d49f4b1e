"""Audio in: files and containers of any kind, any rate, any number of channels, as 16 kHz mono."""
