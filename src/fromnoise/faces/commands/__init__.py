"""One module a command: its arguments as a frozen dataclass, and `main`."""
