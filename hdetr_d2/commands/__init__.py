"""What `hdetr-d2 COMMAND` and the scripts in tools/ do: one file for each, with its arguments."""
