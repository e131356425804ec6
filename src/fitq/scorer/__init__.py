"""The scorer: a child process that loads models and predicts, and the ways to talk to it."""
