"""One module per subcommand of `iemas`. Imports every other folder."""
