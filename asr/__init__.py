"""Earshot's recogniser: audio in, words out. No network, no asyncio."""
