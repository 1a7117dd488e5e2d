"""The commands of ``planner calibrate``, a file each; they return what is to be printed."""
