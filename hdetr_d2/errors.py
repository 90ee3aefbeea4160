"""The exceptions that command-line tools print as a single line."""


class UserError(Exception):
    """Something the user can fix; one sentence that names the file, the image or the option.

    `train_net.py` and the tools print it without a traceback and exit with status 2.
    """


class MisfitError(UserError, ValueError):
    """Parts of a model that do not fit together, as only a step or an evaluation can tell: one line
    for who runs a config, and a ValueError for a program that calls the model.
    """
