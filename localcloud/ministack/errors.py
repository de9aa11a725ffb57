"""What a repair raises if the installed ministack is not the one that it was made for."""


class IncompatibleMinistackError(RuntimeError):
    """The installed ministack is not the one that a repair was made for."""

    def __init__(self, what: str) -> None:
        """Say what differs, and what to do.

        Args:
            what: what is not as the repair expects it.
        """
        super().__init__(
            f"{what}: install the version of ministack in requirements/run.txt, or adapt localcloud/ministack"
        )
