"""The command line. One file per noun; a command parses, asks the SDK, prints."""
