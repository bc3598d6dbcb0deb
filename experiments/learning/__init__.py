"""The learning study: why IQ learns slowly, and what mends it (docs/learning.md)."""
