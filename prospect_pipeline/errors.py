"""What can go wrong, as a tree; every message says what was found, expected, and what to do.

::

    ProspectError
     ├─ SettingsError              an environment variable is missing, half-set or malformed
     ├─ InputError                 a file or argument that a person gave
     │   ├─ EventsError            the atomic events
     │   └─ AnchorsError           a table of the user's own anchors
     ├─ DefinitionError            an attribute definition that makes no sense
     │   ├─ UnsupportedAttribute   makes sense, but is not supported here
     │   └─ DefinitionConflict     differs from what is published under the same version
     ├─ WarehouseUnavailable       the warehouse did not answer
     ├─ TrainingError              the training set cannot give a model
     ├─ SignalsError               Signals answered with an error
     │   ├─ SignalsRefused         Signals refuses what it was asked, whoever asks
     │   └─ SignalsUnavailable     Signals did not answer in time
     ├─ RegistryError              MLflow cannot be reached or refused
     │   ├─ RegistryRefused        answered, and would refuse the same call again
     │   ├─ DamagedModel           a version is there and cannot be loaded
     │   └─ NoModel                there is no such model version
     ├─ StackError                 a process of the running system did not start or died
     └─ NoAnswer                   an address that `prospect doctor` looks at does not answer

The command line prints the message of any of these and exits with status 1.
"""


class ProspectError(Exception):
    """Base of every error that this package raises on purpose.

    The message is what was ``found``, and behind it the ``remedy``, where that is kept apart for
    `prospect doctor`: there a line may know a better one.
    """

    def __init__(self, found: str = "", remedy: str = "") -> None:
        super().__init__(f"{found} {remedy}".rstrip())
        self.found = found
        self.remedy = remedy


class SettingsError(ProspectError):
    """An environment variable is missing, half-set or malformed."""


class InputError(ProspectError):
    """A file or argument that a person gave cannot be used."""


class EventsError(InputError):
    """The atomic events cannot be used."""


class AnchorsError(InputError):
    """The table of anchors cannot be used."""


class DefinitionError(ProspectError):
    """An attribute definition makes no sense."""


class UnsupportedAttribute(DefinitionError):
    """An attribute makes sense to Signals but is not supported here."""

    def __init__(self, attribute: str, reason: str) -> None:
        super().__init__(f"Attribute '{attribute}' is not supported: {reason}.")
        self.attribute = attribute
        self.reason = reason


class DefinitionConflict(DefinitionError):
    """A definition differs from what is published under the same name and version."""


class WarehouseUnavailable(ProspectError):
    """The warehouse did not answer, or the connection to it broke."""


class TrainingError(ProspectError):
    """The training set cannot give a model."""


class SignalsError(ProspectError):
    """Signals answered with an error."""


class SignalsRefused(SignalsError):
    """Signals refuses what it was asked, whoever asks: that says nothing of how Signals is."""


class SignalsUnavailable(SignalsError):
    """Signals did not answer, or not in time."""


class RegistryError(ProspectError):
    """MLflow cannot be reached, or refused."""


class RegistryRefused(RegistryError):
    """MLflow answered and refuses: asked again, it would say the same."""


class DamagedModel(RegistryError):
    """A registered version is there and cannot be loaded, whenever it is tried."""


class NoModel(RegistryError):
    """There is no such model version."""


class StackError(ProspectError):
    """A process of the running system did not start, or died."""


class NoAnswer(ProspectError):
    """An address that `prospect doctor` looks at does not answer."""
