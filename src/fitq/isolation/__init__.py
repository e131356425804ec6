"""What stands between code that people sent and this machine.

`family` ends everything a run started; `launch` starts a program afresh under such a keeper. These two run
in the keeper or in the run's own process, on any Python ≥ 3.6 and with the standard library only.
"""
