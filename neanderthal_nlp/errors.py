"""The one exception that the user is meant to see."""


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file, record or argument, what was found and what was expected.
    Command lines print it as it is and end with status 2; everything else is a defect of the program and
    keeps its traceback.
    """
