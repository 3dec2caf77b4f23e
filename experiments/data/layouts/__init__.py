"""One module per file layout, and the dialogues they become. Imports `errors`."""
