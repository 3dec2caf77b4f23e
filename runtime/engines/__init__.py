"""What serves: the protocol, and its implementations. Imports `models`, `errors`."""
