"""The commands `hdetr-d2 COMMAND`, also used by the scripts in tools/: one file per command, with
its arguments.
"""
