"""What `down` keeps for the next `up`: ministack's own state files, its objects, and the ports."""

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from localcloud.environment import Addresses
from localcloud.files import replace_text
from localcloud.ministack.persistence import UNSAVED


class KeptState:
    """The kept state of one local cloud.

    ministack reads it when it starts. It writes photos and records at once, messages a second later, and
    everything else when it is asked to (after a deployment) and when it is stopped.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._addresses = folder / "addresses.json"

    def settings(self) -> dict[str, str]:
        """Return ministack's variables that let it read and write this state."""
        return ministack_folders(self.folder) | {"PERSIST_STATE": "1", "S3_PERSIST": "1"}

    def last_ports(self) -> list[int]:
        """Return the ports of the last start, ministack's first; [] if there was none."""
        return [port for url in self._last_urls() if (port := urlsplit(url).port)]

    def move_to(self, addresses: Addresses) -> None:
        """Replace the last start's URLs (of queues, for instance) by those of this start."""
        last = self._last_urls()
        if last and last[0] != addresses.aws_url:
            for file in (self.folder / "state").glob("*.json"):
                text = file.read_text(encoding="utf-8")
                if last[0] in text:
                    replace_text(file, text.replace(last[0], addresses.aws_url))
        self.folder.mkdir(parents=True, exist_ok=True)
        replace_text(self._addresses, json.dumps([addresses.aws_url, addresses.sagemaker_url]) + "\n")

    def recover(self) -> str:
        """Make what a killed ministack left fit for a start; return what was lost, empty if nothing."""
        if not (lost := self.lost()) or any((self.folder / "state").glob("*.json")):
            return lost
        self.erase()
        return "the local cloud was killed last time before anything was deployed: it starts anew"

    def lost(self) -> str:
        """Return what the last stop did not save, empty if it saved everything."""
        unsaved = self.folder / UNSAVED
        if not unsaved.exists():
            return ""
        services = unsaved.read_text(encoding="utf-8")
        if services:
            return (
                f"the local cloud could not save the state of {services} when it ended (is the disk full?): "
                "photos and records are kept"
            )
        return (
            "the local cloud was killed when it ended: photos and records are kept; executions, traces, "
            "logs and changes of resources since the last `up` are not, nor messages of the last second"
        )

    def killed(self) -> datetime | None:
        """Return when messages were saved last, if the last end did not save them."""
        messages = self.folder / "state" / "sqs.json"
        if not self.lost() or not messages.exists():
            return None
        return datetime.fromtimestamp(messages.stat().st_mtime, UTC)

    def erase(self) -> None:
        """Remove photos, results, stacks and everything else that is kept."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _last_urls(self) -> list[str]:
        try:
            return [str(url) for url in json.loads(self._addresses.read_text(encoding="utf-8"))]
        except (FileNotFoundError, ValueError, TypeError):
            return []


def ministack_folders(folder: Path) -> dict[str, str]:
    """Return ministack's variables that keep its files in a folder, instead of in /tmp."""
    return {"STATE_DIR": str(folder / "state"), "S3_DATA_DIR": str(folder / "s3")}
