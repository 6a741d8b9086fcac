"""Falcon resources, a file for each noun. Responders parse, call one operation, render."""
