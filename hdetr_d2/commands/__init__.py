"""What `hdetr-d2 COMMAND` and the scripts in tools/ do: one file per command, with its
arguments.
"""
