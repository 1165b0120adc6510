"""The one exception that the user is meant to see."""

LONGEST = 1000


class InputError(ValueError):
    """Something the user gave cannot be used.

    The message is one line that names the file, record or argument, what was found and what was expected.
    Command lines print it as it is and end with status 2; everything else is a defect of the program and
    keeps its traceback.

    What the message quotes may be anything: what cannot be printed of it is escaped, and a message of more than
    `LONGEST` letters loses its middle.
    """

    def __init__(self, message: str = "") -> None:
        text = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message)
        super().__init__(text if len(text) <= LONGEST else f"{text[: LONGEST * 3 // 4]} … {text[3 - LONGEST // 4 :]}")
