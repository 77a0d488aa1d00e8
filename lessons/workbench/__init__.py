"""The workbench: the command line around the lessons."""
