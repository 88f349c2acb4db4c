"""One's own pictures: boxes, classes and scores, in Python, on the command line and as files of other tools."""
