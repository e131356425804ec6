"""The SDK: against a scripted transport, and against the real API on memory stores."""
