"""The errors of this package: a service that cannot be had, and a service that failed."""


class ServiceUnavailable(RuntimeError):
    """A service cannot run on this machine because a program or package is missing.

    ``service`` names what cannot run, ``reason`` what is missing and ``remedy`` how to get it.
    """

    def __init__(self, service: str, reason: str, remedy: str) -> None:
        super().__init__(f"{service} is not available: {reason}. To get it: {remedy}")
        self.service = service
        self.reason = reason
        self.remedy = remedy


class ServiceFailed(RuntimeError):
    """A service was started but ended, or did not become ready in time.

    The message carries the end of its log.
    """
