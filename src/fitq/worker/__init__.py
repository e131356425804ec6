"""The program that executes runs. User code never runs in it, only in children it starts and ends."""
