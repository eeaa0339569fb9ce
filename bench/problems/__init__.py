"""The problems of the tables, one file per family; on_host.py and on_device.py hold their rows, in order."""
