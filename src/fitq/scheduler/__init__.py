"""The program that looks after what nobody else does: lost attempts, lost messages, a lost Redis."""
