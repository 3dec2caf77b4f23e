"""The subcommands of `iemas`, one module each."""
