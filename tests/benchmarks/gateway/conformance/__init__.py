"""Named checks of what a client and an engine may expect of a proxy: each passes, or fails with a reason."""
